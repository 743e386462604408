// A convolution layer by oneDNN primitives made by hand, on memory that stays in place: reorders of the
// weights for each direction, the convolution, the reorder of the weights' gradient, and of activations where
// asked for.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

struct ConvolutionLayer {
    int64_t in, out, size, kernel, stride;
    bool blocked_weight_gradient;  // reorder activations for it
};

/// The primitives of one layer with their memory.
class RawConvolution {
public:
    enum Direction { kForward, kBackwardData, kBackwardWeights };

    RawConvolution(const ConvolutionLayer& layer, int64_t batch) : layer_(layer) {
        const int64_t pad = layer.kernel / 2;
        const int64_t out_size = (layer.size + 2 * pad - layer.kernel) / layer.stride + 1;
        source_ = {batch, layer.in, layer.size, layer.size};
        weights_ = {layer.out, layer.in, layer.kernel, layer.kernel};
        target_ = {batch, layer.out, out_size, out_size};
        strides_ = {layer.stride, layer.stride};
        padding_ = {pad, pad};
        x_ = plain(source_, Tag::nhwc);
        w_ = plain(weights_, Tag::ohwi);
        y_ = plain(target_, Tag::nhwc);
        d_x_ = plain(source_, Tag::nhwc);
        d_w_ = plain(weights_, Tag::ohwi);
        now_ = &steps_[kForward];
        const auto hint = forward(Tag::nhwc);
        const dnnl::memory w = brought(w_, hint.weights_desc());
        now_->push_back({dnnl::convolution_forward(hint),
                         {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y_}}});
        now_ = &steps_[kBackwardData];
        const dnnl::convolution_backward_data::primitive_desc data(
            engine_, dnnl::algorithm::convolution_direct, x_.get_desc(), any(weights_), y_.get_desc(),
            strides_, padding_, padding_, hint);
        const dnnl::memory v = brought(w_, data.weights_desc());
        now_->push_back({dnnl::convolution_backward_data(data),
                         {{DNNL_ARG_DIFF_SRC, d_x_}, {DNNL_ARG_WEIGHTS, v}, {DNNL_ARG_DIFF_DST, y_}}});
        now_ = &steps_[kBackwardWeights];
        const bool blocked = layer.blocked_weight_gradient;
        const dnnl::convolution_backward_weights::primitive_desc gradient(
            engine_, dnnl::algorithm::convolution_direct, blocked ? any(source_) : x_.get_desc(),
            any(weights_), blocked ? any(target_) : y_.get_desc(), strides_, padding_, padding_,
            forward(blocked ? Tag::any : Tag::nhwc));
        const dnnl::memory x = brought(x_, gradient.src_desc());
        const dnnl::memory y = brought(y_, gradient.diff_dst_desc());
        const dnnl::memory d_w = d_w_.get_desc() == gradient.diff_weights_desc()
                                     ? d_w_
                                     : dnnl::memory(gradient.diff_weights_desc(), engine_);
        now_->push_back({dnnl::convolution_backward_weights(gradient),
                         {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_WEIGHTS, d_w}, {DNNL_ARG_DIFF_DST, y}}});
        if (d_w.get_desc() != d_w_.get_desc()) {
            now_->push_back({dnnl::reorder(d_w, d_w_), {{DNNL_ARG_FROM, d_w}, {DNNL_ARG_TO, d_w_}}});
        }
    }
    void run(Direction direction) {
        for (const Step& step : steps_[direction]) {
            step.primitive.execute(stream_, step.arguments);
        }
        stream_.wait();
    }
    void run() {
        run(kForward);
        run(kBackwardData);
        run(kBackwardWeights);
    }
    [[nodiscard]] double operations() const {
        return 6.0 * static_cast<double>(target_[0] * target_[1] * target_[2] * target_[3] * layer_.in *
                                         layer_.kernel * layer_.kernel);
    }

private:
    using Tag = dnnl::memory::format_tag;
    struct Step {
        dnnl::primitive primitive;
        std::unordered_map<int, dnnl::memory> arguments;
    };
    static dnnl::memory::desc any(const dnnl::memory::dims& dims) {
        return {dims, dnnl::memory::data_type::f32, Tag::any};
    }
    dnnl::memory plain(const dnnl::memory::dims& dims, Tag tag) {
        dnnl::memory made({dims, dnnl::memory::data_type::f32, tag}, engine_);
        std::fill_n(static_cast<float*>(made.get_data_handle()), made.get_desc().get_size() / 4, 0.01f);
        return made;
    }
    dnnl::convolution_forward::primitive_desc forward(Tag activations) {
        return {engine_,
                dnnl::prop_kind::forward_training,
                dnnl::algorithm::convolution_direct,
                {source_, dnnl::memory::data_type::f32, activations},
                any(weights_),
                {target_, dnnl::memory::data_type::f32, activations},
                strides_,
                padding_,
                padding_};
    }
    dnnl::memory brought(const dnnl::memory& from, const dnnl::memory::desc& wanted) {
        if (from.get_desc() == wanted) {
            return from;
        }
        dnnl::memory to(wanted, engine_);
        now_->push_back({dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
        return to;
    }

    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    ConvolutionLayer layer_;
    dnnl::memory::dims source_, weights_, target_, strides_, padding_;
    dnnl::memory x_, w_, y_, d_x_, d_w_;
    std::array<std::vector<Step>, 3> steps_;
    std::vector<Step>* now_ = nullptr;
};
