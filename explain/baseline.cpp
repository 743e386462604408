#include "explain/baseline.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"

namespace backlight {

Baseline::Baseline(const Options& options, const ExplainContext& context)
    : kind_(options.get("baseline", "zero")), black_(context.low) {
    if (kind_.ends_with(".npy")) {
        file_ = read_npy(kind_);
        return;
    }
    BACKLIGHT_CHECK(kind_ == "zero" || kind_ == "black" || kind_ == "mean", options.owner(),
                    ": expected baseline=zero, black, mean or FILE.npy, got ", kind_);
    BACKLIGHT_CHECK(kind_ != "black" || !black_.empty(), options.owner(),
                    ": baseline=black needs the input range, which neither the model nor its weights state");
}

Tensor Baseline::of(const Tensor& x) const {
    const NoGrad off;
    if (file_.defined()) {
        const Shape one = x.shape().with(0, 1);
        const bool bare = file_.rank() == x.rank() - 1;
        const Tensor file = (bare ? file_.reshape(x.rank() == 4 ? Shape{1, file_.dim(0), file_.dim(1), file_.dim(2)}
                                                                : Shape{1, file_.dim(0)})
                                  : file_)
                                .to(x.dtype());
        BACKLIGHT_CHECK(file.shape() == one || file.shape() == x.shape(), "baseline: ", kind_, " has shape ",
                        file_.shape(), ", the input ", x.shape());
        return broadcast_to(Variable(file), x.shape()).data();
    }
    if (kind_ == "mean") {
        return broadcast_to(x.rank() == 4 ? mean(Variable(x), {1, 2}, true) : mean(Variable(x), {1}, true),
                            x.shape())
            .data();
    }
    if (kind_ == "black") {
        const Tensor channels = Tensor::from(black_, {static_cast<int64_t>(black_.size())}, x.device());
        return broadcast_to(Variable(channels.to(x.dtype())), x.shape()).data();
    }
    return Tensor::zeros(x.shape(), x.dtype(), x.device());
}

}  // namespace backlight
