// Weight files of timm (Wightman, PyTorch Image Models). Its ResNets have torchvision's names. Its VGGs hold
// the two first linear layers as convolutions, which read the same numbers in the same order:
//   pre_logits.fc1 (4096,512,7,7)  classifier.0 (4096,25088)
//   pre_logits.fc2 (4096,4096,1,1) classifier.3 (4096,4096)
//   head.fc                        classifier.6
#include <algorithm>
#include <array>
#include <utility>

#include "models/model.h"

namespace backlight {

StateDict from_timm(StateDict state) {
    constexpr std::array<std::pair<const char*, const char*>, 3> kLayers{{{"pre_logits.fc1", "classifier.0"},
                                                                          {"pre_logits.fc2", "classifier.3"},
                                                                          {"head.fc", "classifier.6"}}};
    if (!state.contains("pre_logits.fc1.weight")) {
        return state;
    }
    for (const auto& [theirs, ours] : kLayers) {
        for (const char* part : {".weight", ".bias"}) {
            auto entry = state.extract(std::string(theirs) + part);
            if (entry.empty()) {
                continue;  // load_state_dict names what is missing
            }
            Tensor& value = entry.mapped();
            if (value.rank() == 4) {
                value = value.reshape({value.dim(0), value.numel() / std::max<int64_t>(value.dim(0), 1)});
            }
            entry.key() = std::string(ours) + part;
            state.insert(std::move(entry));
        }
    }
    return state;
}

}  // namespace backlight
