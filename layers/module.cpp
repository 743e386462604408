#include "layers/module.h"

#include "autograd/recording.h"
#include "core/error.h"
#include "core/glob.h"

namespace backlight {
namespace {
thread_local bool constant_parameters = false;
}

ConstantParameters::ConstantParameters(bool on) : previous_(constant_parameters) {
    constant_parameters = previous_ || on;
}
ConstantParameters::~ConstantParameters() { constant_parameters = previous_; }
bool ConstantParameters::active() { return constant_parameters; }

namespace {

std::string join(const std::string& prefix, const std::string& name) {
    return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

Variable Module::operator()(const Variable& x) {
    Recording* recording = Recording::current();
    std::string call_name;
    Variable y;
    {
        const ScopeName scope(local_name_);
        const std::string path = recording != nullptr ? ScopeName::path() : std::string();
        if (recording != nullptr) {
            call_name = recording->begin_call(path);
        }
        y = forward(x);
        for (const auto& [id, hook] : hooks_) {
            Variable replaced = hook(*this, x, y);
            y = replaced.defined() ? std::move(replaced) : y;
        }
        if (recording != nullptr) {
            recording->end_call(call_name, path, x, y);
        }
    }
    return y;
}

void Module::collect(const std::string& prefix, std::vector<Parameter>& into) const {
    for (const Parameter& parameter : parameters_) {
        into.push_back({join(prefix, parameter.name), parameter.value, parameter.layout});
    }
    for (const auto& [name, module] : children_) {
        module->collect(join(prefix, name), into);
    }
}

std::vector<Parameter> Module::parameters() const {
    std::vector<Parameter> all;
    collect("", all);
    return all;
}

std::vector<Buffer> Module::buffers() {
    std::vector<Buffer> all;
    for (const auto& [path, module] : modules()) {
        for (const Buffer& buffer : module->own_buffers()) {
            all.push_back({join(path, buffer.name), buffer.value});
        }
    }
    return all;
}

std::vector<Buffer> Module::own_buffers() {
    std::vector<Buffer> own;
    for (auto& [name, value] : buffers_) {
        own.push_back({name, &value});
    }
    return own;
}

std::vector<std::pair<std::string, Module*>> Module::modules() {
    std::vector<std::pair<std::string, Module*>> all{{"", this}};
    for (const auto& [name, module] : children_) {
        for (const auto& [path, below] : module->modules()) {
            all.emplace_back(path.empty() ? name : join(name, path), below);
        }
    }
    return all;
}

Module& Module::at(const std::string& path) {
    std::vector<std::string> known;
    for (const auto& [name, module] : modules()) {
        if (name == path) {
            return *module;
        }
        if (!name.empty()) {  // the network itself
            known.push_back(name);
        }
    }
    throw_error(unknown_name("layer", path, known));
}

int64_t Module::parameter_count() const {
    int64_t count = 0;
    for (const Parameter& parameter : parameters()) {
        count += parameter.value.numel();
    }
    return count;
}

void Module::train(bool on) {
    training_ = on;
    for (const auto& [name, module] : children_) {
        module->train(on);
    }
}

void Module::to(DType dtype) {
    for (const auto& [path, module] : modules()) {
        for (Parameter& parameter : module->parameters_) {
            Tensor converted = parameter.value.data().to(dtype);
            parameter.value = parameter.value.requires_grad() ? Variable::leaf(std::move(converted))
                                                              : Variable(std::move(converted));
        }
        for (auto& [name, value] : module->buffers_) {
            value = is_floating(value.dtype()) ? value.to(dtype) : value;
        }
    }
}

void Module::zero_grad() {
    for (const Parameter& parameter : parameters()) {
        if (parameter.value.requires_grad()) {
            parameter.value.set_grad({});
        }
    }
}

int64_t Module::freeze(std::string_view pattern) {
    int64_t count = 0;
    for (const auto& [path, module] : modules()) {
        for (Parameter& parameter : module->parameters_) {
            if (glob_match(pattern, join(path, parameter.name))) {
                parameter.value = parameter.value.detach();
                ++count;
            }
        }
    }
    return count;
}

int64_t Module::set_recompute(bool on) {
    int64_t segments = 0;
    for (const auto& [name, module] : children_) {
        segments += module->set_recompute(on);
    }
    return segments;
}

void Module::set_width(const Width&) { throw_error(concat_text(describe(), ": its width is fixed")); }

int Module::add_hook(Hook hook) {
    hooks_.emplace_back(next_hook_, std::move(hook));
    return next_hook_++;
}

void Module::remove_hook(int id) {
    std::erase_if(hooks_, [id](const auto& entry) { return entry.first == id; });
}

void Module::add_parameter(std::string name, const Shape& shape, FileLayout layout) {
    parameters_.push_back({std::move(name), Variable::leaf(Tensor::zeros(shape)), layout});
}

void Module::replace_parameter(size_t i, const Shape& shape, FileLayout layout) {
    Parameter& parameter = parameters_[i];
    Tensor value = Tensor::zeros(shape, parameter.value.dtype(), parameter.value.data().device());
    parameter.value =
        parameter.value.requires_grad() ? Variable::leaf(std::move(value)) : Variable(std::move(value));
    parameter.layout = layout;
}

void Module::add_buffer(std::string name, Tensor value) {
    buffers_.emplace_back(std::move(name), std::move(value));
}

EvaluationMode::EvaluationMode(Module& root) : root_(root) {
    for (const auto& [path, module] : root_.modules()) {
        modes_.push_back(module->is_training());
    }
    root_.eval();
}

EvaluationMode::~EvaluationMode() {
    // Parents come first and set their subtree, then each child sets its own again.
    const auto modules = root_.modules();
    for (size_t i = 0; i < modules.size(); ++i) {
        modules[i].second->train(modes_[i]);
    }
}

}  // namespace backlight
