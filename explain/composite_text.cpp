// Composites from text.
#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "explain/composite.h"

namespace backlight {
namespace {

using Kinds = std::set<std::string, std::less<>>;

const std::vector<std::pair<std::string, Kinds>>& kind_groups() {
    static const std::vector<std::pair<std::string, Kinds>> groups = {
        {"any", {}},
        {"linear", {"linear"}},
        {"conv", {"conv2d", "conv_transpose2d"}},
        {"conv_transpose", {"conv_transpose2d"}},
        {"norm", {"batch_norm", "layer_norm", "group_norm"}},
        {"sum", {"add", "subtract"}},
        {"average", {"avg_pool2d", "adaptive_avg_pool2d", "resize"}},
        {"max_pool", {"max_pool2d"}},
        {"activation", {"relu", "relu6", "leaky_relu", "elu", "softplus", "gelu", "silu", "sigmoid", "tanh"}},
    };
    return groups;
}

/// Op kinds that a part may name as they are.
const std::vector<std::string>& op_kinds() {
    static const std::vector<std::string> kinds = {"conv2d",
                                                   "conv_transpose2d",
                                                   "batch_norm",
                                                   "layer_norm",
                                                   "group_norm",
                                                   "add",
                                                   "subtract",
                                                   "avg_pool2d",
                                                   "adaptive_avg_pool2d",
                                                   "resize",
                                                   "max_pool2d",
                                                   "relu",
                                                   "relu6",
                                                   "leaky_relu",
                                                   "elu",
                                                   "softplus",
                                                   "gelu",
                                                   "silu",
                                                   "sigmoid",
                                                   "tanh",
                                                   "softmax"};
    return kinds;
}

bool read_depth(const std::string& text, CompositePart& part) {
    if (!text.starts_with("depth")) {
        return false;
    }
    const std::string rest = text.substr(5);
    const size_t sign = rest.starts_with("<=") || rest.starts_with(">=") ? 2 : rest.starts_with("=") ? 1 : 0;
    int64_t bound = 0;
    const char* begin = rest.data() + sign;
    const auto [end, error] = std::from_chars(begin, rest.data() + rest.size(), bound);
    BACKLIGHT_CHECK(sign > 0 && error == std::errc() && end == rest.data() + rest.size(),
                    "composite: expected depth<=N, depth>=N or depth=N, got \"", text, "\"");
    if (rest[0] != '>') {
        part.max_depth = bound;
    }
    if (rest[0] != '<') {
        part.min_depth = bound;
    }
    return true;
}

void read_predicate(const std::string& text, CompositePart& part) {
    if (text == "first") {
        part.first_only = true;
        return;
    }
    if (text == "last") {
        part.last_only = true;
        return;
    }
    if (text == "rectified") {
        part.rectified = true;
        return;
    }
    if (text.starts_with("layer=")) {
        part.layer = text.substr(6);
        return;
    }
    if (read_depth(text, part)) {
        return;
    }
    std::vector<std::string> known = {"first", "last", "rectified", "layer=GLOB", "depth<=N"};
    for (const auto& [name, kinds] : kind_groups()) {
        known.push_back(name);
        if (name == text) {
            part.kinds = kinds;
            return;
        }
    }
    const auto& kinds = op_kinds();
    if (std::find(kinds.begin(), kinds.end(), text) != kinds.end()) {
        part.kinds = {text};
        return;
    }
    known.insert(known.end(), kinds.begin(), kinds.end());
    throw_error(unknown_name("composite part", text, known));
}

}  // namespace

Composite parse_composite(const std::string& text) {
    Composite composite{.name = concat_text('"', text, '"')};
    for (const std::string& item : split_list(text, ';')) {
        if (item.empty()) {
            continue;
        }
        const std::vector<std::string> sides = split_list(item, ':');
        BACKLIGHT_CHECK(sides.size() == 2 && !sides[0].empty() && !sides[1].empty(),
                        "composite: expected PREDICATE:RULE, got \"", item, "\"");
        CompositePart part{.rule = build_rule(sides[1]), .text = item};
        for (const std::string& predicate : split_list(sides[0], '&')) {
            read_predicate(predicate, part);
        }
        composite.parts.push_back(std::move(part));
    }
    BACKLIGHT_CHECK(!composite.parts.empty(),
                    "composite: expected parts like \"conv:zplus; linear:epsilon\"");
    return composite;
}

}  // namespace backlight
