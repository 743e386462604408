// State of a module in the names and layout of PyTorch's state_dict: what weight files hold.
#pragma once

#include <map>
#include <string>

#include "layers/module.h"

namespace backlight {

using StateDict = std::map<std::string, Tensor>;

/// A value of a parameter's shape as files lay it out: images' kernels as (O,I,Kh,Kw), see FileLayout.
[[nodiscard]] Tensor to_file_layout(const Tensor& value, const FileLayout& layout);

/// Parameters and buffers: convolution kernels as (O,I,Kh,Kw), linear layers behind a flatten with features
/// in (C,H,W) order.
[[nodiscard]] StateDict state_dict(Module& module);

/// Copies values in, converting layout and floating type. Throws one Error that names every missing,
/// unexpected and misshapen entry and every one with a value that is not finite in the module's type or that is a negative variance; then nothing was changed.
/// `where` names the file.
void load_state_dict(Module& module, const StateDict& state, const std::string& where);

}  // namespace backlight
