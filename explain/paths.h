// Leaving out paths: relevance that runs around the blocks of a residual network.
#pragma once

#include <map>
#include <memory>

#include "autograd/grad.h"
#include "core/options.h"

namespace backlight {

/// Which shortcuts carry relevance.
enum class Paths : uint8_t {
    all,
    exclude_strided_shortcuts,  // none through a shortcut with a convolution of stride > 1
    exclude_downsample,         // none through a shortcut with a convolution
    exclude_shortcuts,          // none through any shortcut, identity included
    only_strided_shortcuts,     // at blocks with a strided shortcut none through the main branch
};
/// What becomes of the excluded input's share.
enum class Handling : uint8_t {
    reroute,  // the other input gets all that arrived: conserves
    drop,     // it disappears
};

/// Other rules (or the gradient, when null), without the excluded paths. The map is then a partial
/// explanation. A shortcut is the input of a sum that reaches the inputs' common ancestor through fewer
/// linear ops; it is a downsampling one if it passes exactly one convolution.
class PathRules final : public BackwardRules {
public:
    PathRules(std::unique_ptr<BackwardRules> rules, Paths paths, Handling handling)
        : rules_(std::move(rules)), paths_(paths), handling_(handling) {}

    void prepare(const Traversal& traversal) override;
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override;
    [[nodiscard]] Variable arrived(const NodeView& node, const Variable& r_y) override;
    void finish() override;

private:
    std::unique_ptr<BackwardRules> rules_;
    Paths paths_;
    Handling handling_;
    std::map<const Node*, int> excluded_;  // sum -> the input that is left out
};

/// `rules` with the options `paths` and `handling` (fallback: as given); the same rules where paths=all.
[[nodiscard]] std::unique_ptr<BackwardRules> with_paths(std::unique_ptr<BackwardRules> rules,
                                                        const Options& options, const char* handling);

}  // namespace backlight
