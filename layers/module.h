// Module: a layer or a network. Owns named parameters, buffers and children; maps one Variable to another.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace backlight {

/// How a parameter lies in a weight file (PyTorch's layout) against how it lies in memory.
struct FileLayout {
    enum class Kind { same, image_kernel, flattened_image };
    Kind kind = Kind::same;
    /// flattened_image: (H, W, C) of the image behind whose flatten a linear layer (O, H W C) stands.
    Shape image;
};

struct Parameter {
    std::string name;  // "features.0.weight" from the root on
    Variable value;    // a leaf
    FileLayout layout;
};

struct Buffer {
    std::string name;
    Tensor* value;
};

/// While it lives, the parameters of all modules of this thread are constants: a forward pass keeps nothing
/// for their gradients.
class ConstantParameters {
public:
    explicit ConstantParameters(bool on = true);
    ~ConstantParameters();
    ConstantParameters(const ConstantParameters&) = delete;
    ConstantParameters& operator=(const ConstantParameters&) = delete;
    [[nodiscard]] static bool active();

private:
    bool previous_;
};

class Module {
public:
    /// Sees a call of a module: may return a replacement for its output, or an undefined Variable.
    using Hook = std::function<Variable(Module& module, const Variable& input, const Variable& output)>;

    Module() = default;
    virtual ~Module() = default;
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

    /// Runs `forward` under this module's name; hooks see and may replace the result.
    Variable operator()(const Variable& x);
    /// The layer's word: "Conv2d(3, 16, kernel 3x3, padding 1)".
    [[nodiscard]] virtual std::string describe() const = 0;

    /// All parameters, own ones first, then the children's, in order of registration.
    [[nodiscard]] std::vector<Parameter> parameters() const;
    [[nodiscard]] std::vector<Buffer> buffers();
    /// Without the children's.
    [[nodiscard]] const std::vector<Parameter>& own_parameters() const { return parameters_; }
    [[nodiscard]] std::vector<Buffer> own_buffers();
    /// This module (empty name) and all below it, parents first.
    [[nodiscard]] std::vector<std::pair<std::string, Module*>> modules();
    /// The module of that path; throws Error that lists the near names.
    [[nodiscard]] Module& at(const std::string& path);
    [[nodiscard]] int64_t parameter_count() const;

    /// Training or evaluation mode, for this module and all below.
    void train(bool on = true);
    void eval() { train(false); }
    [[nodiscard]] bool is_training() const { return training_; }

    /// Converts all parameters and buffers of floating type. Gradients are dropped.
    void to(DType dtype);
    void zero_grad();
    /// Makes constants of the parameters whose name matches the glob: no gradient, no update. Returns how
    /// many match. Running statistics of a batch norm are no parameters: they go on adapting in training
    /// mode.
    int64_t freeze(std::string_view pattern);

    /// Whether segments keep their input only and run again in the backward pass (layers/recompute.h).
    /// Returns how many segments there are, here and below.
    virtual int64_t set_recompute(bool on);

    /// Input and output features (channels) of a layer that can be made narrower; nothing: it cannot.
    struct Width {
        int64_t in = 0, out = 0;
        bool operator==(const Width&) const = default;
    };
    [[nodiscard]] virtual std::optional<Width> width() const { return std::nullopt; }
    /// Fresh parameters of zero, statistics of a fresh layer, for other widths; names and layout in files
    /// stay. Whoever holds the old parameters (an optimiser) holds those of no layer any more. Throws Error
    /// where `width` is nothing or the new one does not fit the layer.
    virtual void set_width(const Width& width);

    /// Returns a number for `remove_hook`.
    int add_hook(Hook hook);
    void remove_hook(int id);
    [[nodiscard]] bool has_hooks() const { return !hooks_.empty(); }

protected:
    [[nodiscard]] virtual Variable forward(const Variable& x) = 0;

    void add_parameter(std::string name, const Shape& shape, FileLayout layout = {});
    void add_buffer(std::string name, Tensor value);
    /// Zeros of another shape in the place of parameter i, trained or frozen as it was.
    void replace_parameter(size_t i, const Shape& shape, FileLayout layout = {});
    template <typename M>
    M& add_module(std::string name, std::unique_ptr<M> module) {
        M& child = *module;
        child.local_name_ = name;
        children_.emplace_back(std::move(name), std::move(module));
        return child;
    }
    [[nodiscard]] Variable parameter(size_t i) const {
        return ConstantParameters::active() ? parameters_[i].value.detach() : parameters_[i].value;
    }
    [[nodiscard]] Tensor& buffer(size_t i) { return buffers_[i].second; }
    [[nodiscard]] size_t child_count() const { return children_.size(); }
    [[nodiscard]] Module& child(size_t i) const { return *children_[i].second; }

private:
    void collect(const std::string& prefix, std::vector<Parameter>& into) const;

    std::vector<Parameter> parameters_;
    std::vector<std::pair<std::string, Tensor>> buffers_;
    std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
    std::vector<std::pair<int, Hook>> hooks_;
    std::string local_name_;  // as the parent registered it
    int next_hook_ = 0;
    bool training_ = true;
};

/// Puts a module into evaluation mode and every submodule back into its own mode at the end.
class EvaluationMode {
public:
    explicit EvaluationMode(Module& root);
    ~EvaluationMode();
    EvaluationMode(const EvaluationMode&) = delete;
    EvaluationMode& operator=(const EvaluationMode&) = delete;

private:
    Module& root_;
    std::vector<bool> modes_;
};

}  // namespace backlight
