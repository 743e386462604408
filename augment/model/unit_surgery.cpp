#include "augment/model/unit_surgery.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {
namespace {

bool all_live(const std::vector<uint8_t>& row) { return std::find(row.begin(), row.end(), 0) == row.end(); }

/// value (C, ...) times 0 in the rows of dead units; a row that is not finite becomes 0 too.
Tensor masked(const Tensor& value, const std::vector<uint8_t>& living) {
    Shape shape{value.dim(0)};
    for (int i = 1; i < value.rank(); ++i) {
        shape.push_back(1);
    }
    std::vector<float> row(living.begin(), living.end());
    const Tensor lives = Tensor::from(row, shape, value.device()).to(value.dtype());
    const Variable none(Tensor::zeros({1}, value.dtype(), value.device()));
    return where(lives, Variable(value), none).data();
}

/// Layer and norms of each layer that lost a unit.
void for_each_part(
    Module& net, const PrunableUnits& units, const LivingUnits& living,
    const std::function<void(const std::string& path, Module&, const std::vector<uint8_t>&)>& body) {
    const NoGrad off;
    std::map<std::string, Module*> modules;
    for (const auto& [path, module] : net.modules()) {
        modules[path] = module;
    }
    for (size_t i = 0; i < units.layers().size(); ++i) {
        if (all_live(living.at(i))) {
            continue;
        }
        body(units.layers()[i].name, *modules.at(units.layers()[i].name), living[i]);
        for (const std::string& norm : units.layers()[i].norms) {
            body(norm, *modules.at(norm), living[i]);
        }
    }
}

std::vector<int64_t> indices_of_living(const std::vector<uint8_t>& row) {
    std::vector<int64_t> indices;
    for (size_t k = 0; k < row.size(); ++k) {
        if (row[k] != 0) {
            indices.push_back(static_cast<int64_t>(k));
        }
    }
    return indices;
}

Tensor select_first(const Tensor& value, const std::vector<int64_t>& kept) {
    const auto count = static_cast<int64_t>(kept.size());
    const Tensor index = Tensor::from(kept, {count}, value.device());
    const Variable rows = reshape(Variable(value), {value.dim(0), -1});
    return reshape(gather_rows(rows, index), value.shape().with(0, count)).data();
}

Tensor select_last(const Tensor& value, const std::vector<int64_t>& kept) {
    const Variable columns = transpose(reshape(Variable(value), {-1, value.dim(-1)}));
    const Variable selected = transpose(Variable(select_first(columns.data(), kept)));
    return reshape(selected, value.shape().with(-1, static_cast<int64_t>(kept.size()))).data();
}

/// What a layer keeps; empty: all.
struct Kept {
    std::vector<int64_t> in, out;
};

void narrow(Module& layer, const Kept& kept) {
    std::vector<Tensor> parameters;
    for (const Parameter& parameter : layer.own_parameters()) {
        Tensor value = parameter.value.data();
        if (!kept.in.empty() && value.rank() > 1) {
            value = select_last(value, kept.in);
        }
        parameters.push_back(kept.out.empty() ? value : select_first(value, kept.out));
    }
    std::vector<Tensor> buffers;
    for (const Buffer& buffer : layer.own_buffers()) {
        const bool per_unit = buffer.value->rank() == 1 && !kept.out.empty();
        buffers.push_back(per_unit ? select_first(*buffer.value, kept.out) : *buffer.value);
    }
    Module::Width width = layer.width().value();
    const bool is_norm = parameters.at(0).rank() == 1;
    width.out = kept.out.empty() ? width.out : static_cast<int64_t>(kept.out.size());
    width.in = is_norm ? width.out : kept.in.empty() ? width.in : static_cast<int64_t>(kept.in.size());
    layer.set_width(width);
    for (size_t i = 0; i < parameters.size(); ++i) {
        Tensor target = layer.own_parameters()[i].value.data();
        target.copy_from(parameters[i]);
    }
    for (size_t i = 0; i < buffers.size(); ++i) {
        *layer.own_buffers()[i].value = buffers[i];
    }
}

std::string json_of(const std::map<std::string, int64_t>& left) {
    std::string text;
    for (const auto& [name, count] : left) {
        text += concat_text(text.empty() ? "" : ", ", '"', name, "\": ", count);
    }
    return "{" + text + "}";
}

}  // namespace

void mask_units(Module& net, const PrunableUnits& units, const LivingUnits& living) {
    for_each_part(net, units, living, [](const std::string&, Module& part, const std::vector<uint8_t>& row) {
        for (const Parameter& parameter : part.own_parameters()) {
            Tensor value = parameter.value.data();
            value.copy_from(masked(value, row));
        }
        for (const Buffer& buffer : part.own_buffers()) {
            if (buffer.name == "running_mean") {
                *buffer.value = masked(*buffer.value, row);
            }
        }
    });
}

void mask_gradients(Module& net, const PrunableUnits& units, const LivingUnits& living) {
    for_each_part(net, units, living, [](const std::string&, Module& part, const std::vector<uint8_t>& row) {
        for (const Parameter& parameter : part.own_parameters()) {
            if (parameter.value.requires_grad() && parameter.value.grad().defined()) {
                parameter.value.set_grad(masked(parameter.value.grad(), row));
            }
        }
    });
}

void mask_optimizer(Optimizer& optimizer, Module& net, const PrunableUnits& units,
                    const LivingUnits& living) {
    const std::map<std::string, Tensor> state = optimizer.state();  // handles of its tensors
    for_each_part(net, units, living,
                  [&](const std::string& path, Module& part, const std::vector<uint8_t>& row) {
                      for (const Parameter& parameter : part.own_parameters()) {
                          const std::string prefix = path + "." + parameter.name + ".";
                          for (const auto& [name, value] : state) {
                              if (name.starts_with(prefix) && value.shape() == parameter.value.shape()) {
                                  Tensor target = value;
                                  target.copy_from(masked(value, row));
                              }
                          }
                      }
                  });
}

void remove_units(Model& model, const PrunableUnits& units, const LivingUnits& living) {
    const NoGrad off;
    mask_units(*model.net, units, living);
    std::map<std::string, Kept> kept;
    std::map<std::string, int64_t> left;
    for (size_t i = 0; i < units.layers().size(); ++i) {
        const UnitLayer& layer = units.layers()[i];
        if (!layer.tied.empty()) {
            continue;
        }
        const std::vector<int64_t> units_kept = indices_of_living(living.at(i));
        BACKLIGHT_CHECK(!units_kept.empty(), "prune: no unit of ", layer.name, " would be left");
        left[layer.name] = static_cast<int64_t>(units_kept.size());
        if (all_live(living[i])) {
            continue;
        }
        kept[layer.name].out = units_kept;
        for (const std::string& norm : layer.norms) {
            kept[norm].out = units_kept;
        }
        for (const UnitLayer::Reader& reader : layer.readers) {
            std::vector<int64_t>& in = kept[reader.name].in;
            for (int64_t position = 0; position < reader.positions; ++position) {
                for (const int64_t k : units_kept) {
                    in.push_back(position * layer.units + k);
                }
            }
        }
    }
    for (const auto& [name, part] : kept) {
        narrow(model.net->at(name), part);
    }
    if (!kept.empty()) {
        model.pruned = json_of(left);
    }
}

}  // namespace backlight
