#include "explain/baseline.h"

#include <algorithm>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"

namespace backlight {

Baseline::Baseline(const Options& options, const ExplainContext& context)
    : kind_(options.get("baseline", "zero")), fill_{.kind = kind_}, context_(context) {
    if (kind_.ends_with(".npy")) {
        file_ = read_npy(kind_);
        return;
    }
    const std::vector<std::string>& known = known_fills();
    BACKLIGHT_CHECK(std::find(known.begin(), known.end(), kind_) != known.end(), options.owner(), ": ",
                    unknown_name("baseline", kind_, known), ", or FILE.npy");
}

Tensor Baseline::of(const Tensor& x) const {
    if (!file_.defined()) {
        return filled(x, fill_, context_);
    }
    const NoGrad off;
    const bool bare = file_.rank() == x.rank() - 1;
    const Tensor file =
        (bare ? file_.reshape(x.rank() == 4 ? Shape{1, file_.dim(0), file_.dim(1), file_.dim(2)}
                                            : Shape{1, file_.dim(0)})
              : file_)
            .to(x.dtype());
    BACKLIGHT_CHECK(file.shape() == x.shape().with(0, 1) || file.shape() == x.shape(), "baseline: ", kind_,
                    " has shape ", file_.shape(), ", the input ", x.shape());
    return broadcast_to(Variable(file), x.shape()).data();
}

}  // namespace backlight
