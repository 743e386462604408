// Recording: while it lives, every node keeps its inputs, its output and a name, so that rules can read them,
// and the input and output of every named module can be asked for. It can also keep names alone: enough for
// gradients, also of layers, in a third of the memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "autograd/op.h"

namespace backlight {

/// Names: the output node of a module's call bears the module's path ("features.0"); its second call is
/// "features.0#1". Ops that are not the output of a module are "scope.kind#k", k counting from 0 in that
/// scope.
class Recording {
public:
    enum class Keeps : uint8_t {
        values,  // inputs and outputs of all nodes
        names,   // what vjp reads, as without a recording; layers have shapes, no data
    };
    explicit Recording(Keeps keeps = Keeps::values);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

    /// The layers that were called, readable after the recording has ended.
    struct Call {
        Variable input, output;
    };
    class Layers {
    public:
        /// Output of layer `name`, or its input for "name:in". Throws Error listing the near names when there
        /// is none.
        [[nodiscard]] Variable at(const std::string& name) const;
        /// The same without data where nobody keeps it: enough to ask for a gradient.
        [[nodiscard]] const Variable& handle(const std::string& name) const;
        /// Module calls in the order in which they ended.
        [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

    private:
        friend class Recording;
        std::map<std::string, Call> calls_;
        std::vector<std::string> names_;
    };
    [[nodiscard]] const Layers& layers() const { return layers_; }
    [[nodiscard]] Keeps keeps() const { return keeps_; }

    /// The innermost recording of this thread, or null.
    [[nodiscard]] static Recording* current();

    /// Called by `call` and by modules.
    void name_node(Node& node);
    [[nodiscard]] std::string begin_call(const std::string& path);
    void end_call(const std::string& call_name, const std::string& scope, const Variable& input,
                  const Variable& output);

private:
    Recording* previous_;
    Keeps keeps_;
    std::map<std::string, int> counts_;
    Layers layers_;
};

}  // namespace backlight
