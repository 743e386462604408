#include "autograd/recording.h"

#include "core/error.h"

namespace backlight {
namespace {
thread_local Recording* current_recording = nullptr;
}

Recording::Recording(Keeps keeps) : previous_(current_recording), keeps_(keeps) { current_recording = this; }

Recording::~Recording() { current_recording = previous_; }

Recording* Recording::current() { return current_recording; }

const Variable& Recording::Layers::handle(const std::string& name) const {
    const bool input = name.ends_with(":in");
    const auto call = calls_.find(input ? name.substr(0, name.size() - 3) : name);
    BACKLIGHT_CHECK(call != calls_.end(), unknown_name("layer", name, names_));
    return input ? call->second.input : call->second.output;
}

Variable Recording::Layers::at(const std::string& name) const {
    const Variable& found = handle(name);
    const bool make = !found.data().has_data() && found.node()->remakes == Node::Remakes::for_each_reader;
    return make ? NodeView(found.node()).output() : found;
}

void Recording::name_node(Node& node) {
    const std::string scope = ScopeName::path();
    std::string base =
        scope.empty() ? std::string(node.op->kind()) : scope + "." + std::string(node.op->kind());
    const int count = counts_[base]++;
    node.name = base + "#" + std::to_string(count);
}

std::string Recording::begin_call(const std::string& path) {
    const int count = counts_[path + "()"]++;
    return count == 0 ? path : path + "#" + std::to_string(count);
}

void Recording::end_call(const std::string& call_name, const std::string& scope, const Variable& input,
                         const Variable& output) {
    const auto kept = [&](const Variable& v) {
        const bool with_data = !v.requires_grad() || (keeps_ == Keeps::values && !is_remade(v));
        return with_data ? v : Variable(v.data().without_data(), v.node());
    };
    layers_.calls_[call_name] = {kept(input), kept(output)};
    if (!call_name.empty()) {  // the network itself has no name
        layers_.names_.push_back(call_name);
    }
    // The output's node is this layer's own when it was made directly in its scope, not in a child's.
    if (output.requires_grad() && !output.node()->is_leaf()) {
        const std::string own =
            (scope.empty() ? "" : scope + ".") + std::string(output.node()->op->kind()) + "#";
        if (output.node()->name.starts_with(own)) {
            output.node()->name = call_name;
        }
    }
}

}  // namespace backlight
