// RelationNet: an embedding of pictures, and a network that scores how well two embeddings belong together.
// Sung et al., "Learning to compare: relation network for few-shot learning", CVPR 2018.
#pragma once

#include <vector>

#include "layers/init.h"
#include "layers/module.h"

namespace backlight {

class RelationNet final : public Module {
public:
    struct Config {
        int64_t in = 3, size = 16;               // of square pictures
        std::vector<int64_t> embedding{16, 24};  // channels; each convolution 3x3 with ReLU and pooling by 2
        std::vector<int64_t> relation{24};       // likewise, on the pair (2C channels in)
        bool rectified = true;                   // ReLU behind the embedding's convolutions too
        int64_t hidden = 16;                     // units before the score
        bool norm =
            false;  // batch norm behind convolutions, by the statistics of the batch in evaluation too
    };
    /// Weights start as `initialize` leaves them.
    RelationNet(const Config& config, uint64_t seed, Init init = Init::pytorch);
    [[nodiscard]] std::string describe() const override { return "RelationNet"; }

    /// (N,H,W,I) -> (N,h,w,C): what operator() is too.
    [[nodiscard]] Module& embedding() const { return child(0); }
    /// Pairs (P,h,w,2C), a prototype's channels before a query's -> scores (P,1).
    [[nodiscard]] Module& relation() const { return child(1); }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override { return child(0)(x); }
};

}  // namespace backlight
