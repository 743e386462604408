// Cutout, CutMix and MixUp on pictures of one colour each, so that every value tells where it came from.
#include <cmath>
#include <numeric>

#include "tests/augment/step.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

constexpr int64_t kSamples = 6, kHeight = 8, kWidth = 10, kChannels = 2, kClasses = 3;
constexpr size_t kPixels = kHeight * kWidth;

/// Picture n has the value n + 1 everywhere and the label n mod 3.
struct Colours {
    Model model{.classes = kClasses};
    std::shared_ptr<InMemoryDataset> data;
    TrainingRun run;
    Batch batch;

    Colours() {
        std::vector<float> values;
        std::vector<int64_t> labels, rows;
        for (int64_t n = 0; n < kSamples; ++n) {
            values.insert(values.end(), kPixels * kChannels, static_cast<float>(n + 1));
            labels.push_back(n % kClasses);
            rows.push_back(n);
        }
        data = std::make_shared<InMemoryDataset>(Shape{kHeight, kWidth, kChannels}, values, labels,
                                                 numbered_classes(kClasses));
        run = {.model = &model, .data = data, .batch_size = kSamples};
        batch = data->batch(rows);
    }
    Colours(const Colours&) = delete;
    Colours& operator=(const Colours&) = delete;

    void apply(const std::string& text, int64_t step = 0) {
        TrainingStep now{.run = run, .batch = batch, .step = step};
        const auto system = build_augmentation(text);
        system->begin(run);
        system->change_batch(now);
    }
    /// The values of picture n; both channels must be equal.
    [[nodiscard]] std::vector<float> picture(int64_t n) const {
        const auto all = batch.input.to_vector<float>();
        std::vector<float> pixels;
        for (size_t p = 0; p < kPixels; ++p) {
            const size_t at = (static_cast<size_t>(n) * kPixels + p) * kChannels;
            REQUIRE(all[at] == all[at + 1]);
            pixels.push_back(all[at]);
        }
        return pixels;
    }
};

/// Whether the marked pixels are all those of one rectangle; its height and width.
struct Rectangle {
    bool whole = false;
    int64_t height = 0, width = 0;
};
Rectangle rectangle_of(const std::vector<bool>& marked) {
    int64_t top = kHeight, bottom = -1, left = kWidth, right = -1, count = 0;
    for (int64_t p = 0; p < kHeight * kWidth; ++p) {
        if (marked[static_cast<size_t>(p)]) {
            ++count;
            top = std::min(top, p / kWidth);
            bottom = std::max(bottom, p / kWidth);
            left = std::min(left, p % kWidth);
            right = std::max(right, p % kWidth);
        }
    }
    const int64_t height = bottom - top + 1, width = right - left + 1;
    return {count == height * width, height, width};
}

/// Mean and variance of the share that mixup leaves of a picture, over many steps.
std::pair<double, double> share_statistics(const std::string& text) {
    Colours colours;
    const Batch before = colours.batch;
    double total = 0, squares = 0;
    constexpr int64_t kSteps = 4000;
    for (int64_t step = 0; step < kSteps; ++step) {
        colours.batch = before;
        colours.batch.label = Tensor::from(std::vector<int64_t>{0, 1, 1, 1, 1, 1}, {kSamples});
        colours.apply(text, step);
        const double share = static_cast<double>(colours.batch.soft_label.to_vector<float>()[0]);
        total += share;
        squares += share * share;
    }
    return {total / kSteps, squares / kSteps - total / kSteps * total / kSteps};
}

}  // namespace

TEST_CASE("cutout: a square around a pixel, clipped at the border, becomes zero in every picture") {
    for (int64_t step = 0; step < 50; ++step) {
        Colours colours;
        colours.apply("cutout", step);  // half the height: 4
        for (int64_t n = 0; n < kSamples; ++n) {
            const auto pixels = colours.picture(n);
            std::vector<bool> hole;
            for (const float v : pixels) {
                CHECK((v == 0 || v == static_cast<float>(n + 1)));
                hole.push_back(v == 0);
            }
            const Rectangle r = rectangle_of(hole);
            CHECK(r.whole);
            CHECK((r.height >= 2 && r.height <= 4));  // at least half of it lies inside
            CHECK((r.width >= 2 && r.width <= 4));
        }
        CHECK_FALSE(colours.batch.soft_label.defined());
    }
}

TEST_CASE("cutout: sizes") {
    Colours one, whole, none;
    one.apply("cutout(size=1)");
    whole.apply("cutout(size=20)");
    none.apply("cutout(size=0)");
    for (int64_t n = 0; n < kSamples; ++n) {
        const auto pixels = one.picture(n);
        CHECK(std::count(pixels.begin(), pixels.end(), 0.0f) == 1);
        CHECK(whole.picture(n) == std::vector<float>(kPixels, 0.0f));
        CHECK(none.picture(n) == std::vector<float>(kPixels, static_cast<float>(n + 1)));
    }
    Colours again;
    again.apply("cutout(size=1)");
    CHECK(again.batch.input.to_vector<float>() == one.batch.input.to_vector<float>());
}

TEST_CASE("cutmix: a box of another picture, and the labels by area") {
    double total = 0;
    constexpr int64_t kSteps = 300;
    for (int64_t step = 0; step < kSteps; ++step) {
        Colours colours;
        colours.apply("cutmix(p=1)", step);
        const auto labels = colours.batch.soft_label.to_vector<float>();
        double area = -1;
        for (int64_t n = 0; n < kSamples; ++n) {
            const auto pixels = colours.picture(n);
            std::vector<bool> pasted;
            float other = 0;
            for (const float v : pixels) {
                pasted.push_back(v != static_cast<float>(n + 1));
                other = pasted.back() ? v : other;
            }
            if (other == 0) {  // its own partner, or a box without pixels
                continue;
            }
            const Rectangle r = rectangle_of(pasted);
            CHECK(r.whole);
            const auto own_area = static_cast<double>(r.height * r.width);
            CHECK((area < 0 || area == own_area));  // the same box in every picture
            area = own_area;
            const double share = 1 - area / static_cast<double>(kPixels);
            std::vector<double> expected(kClasses, 0.0);
            expected[static_cast<size_t>(n % kClasses)] += share;
            expected[static_cast<size_t>((std::lround(other) - 1) % kClasses)] += 1 - share;
            for (size_t k = 0; k < kClasses; ++k) {
                CHECK(static_cast<double>(labels[static_cast<size_t>(n) * kClasses + k]) ==
                      doctest::Approx(expected[k]).epsilon(1e-6));
            }
        }
        total += area < 0 ? 0 : area;
    }
    // lam ~ U(0,1), the area before clipping is 1 - lam; clipping takes some of it away
    const double mean = total / kSteps / static_cast<double>(kPixels);
    CHECK((mean > 0.25 && mean < 0.45));
}

TEST_CASE("cutmix, mixup: masks go with what they mark") {
    const auto with_masks = [](Colours& at) {
        std::vector<float>
            values;  // the mask of picture n is n mod 2 everywhere, that of decoys the opposite
        for (int64_t n = 0; n < kSamples; ++n) {
            values.insert(values.end(), kPixels, static_cast<float>(n % 2));
        }
        at.batch.mask = Tensor::from(values, {kSamples, kHeight, kWidth});
        at.batch.decoy_mask = (1.0 - Variable(at.batch.mask)).data();
    };
    Colours cut;
    with_masks(cut);
    cut.apply("cutmix(p=1)");
    const auto mask = cut.batch.mask.to_vector<float>(), decoy = cut.batch.decoy_mask.to_vector<float>();
    bool pasted = false;
    for (int64_t n = 0; n < kSamples; ++n) {
        const std::vector<float> picture = cut.picture(n);
        for (size_t p = 0; p < kPixels; ++p) {  // picture k has the value k + 1
            const size_t at = static_cast<size_t>(n) * kPixels + p;
            CHECK(mask[at] == static_cast<float>((std::lround(picture[p]) - 1) % 2));
            CHECK(decoy[at] == 1 - mask[at]);
            pasted = pasted || mask[at] != static_cast<float>(n % 2);
        }
    }
    CHECK(pasted);
    Colours mixed;
    with_masks(mixed);
    mixed.apply("mixup(p=1, alpha=1)");
    const auto object = mixed.batch.mask.to_vector<float>(),
               marked = mixed.batch.decoy_mask.to_vector<float>();
    bool both = false;
    for (size_t at = 0; at < object.size(); ++at) {
        CHECK(object[at] + marked[at] == 1);  // these masks are complements: so is what became of them
        both = both || object[at] != static_cast<float>((at / kPixels) % 2);
    }
    CHECK(both);
}

TEST_CASE("cutmix: in a share p of the batches") {
    int64_t changed = 0;
    for (int64_t step = 0; step < 400; ++step) {
        Colours colours;
        colours.apply("cutmix", step);
        changed += colours.batch.soft_label.defined() ? 1 : 0;
    }
    CHECK((changed > 160 && changed < 240));
    Colours colours;
    const auto before = colours.batch.input.to_vector<float>();
    colours.apply("cutmix(p=0)");
    CHECK(colours.batch.input.to_vector<float>() == before);
    CHECK_FALSE(colours.batch.soft_label.defined());
}

TEST_CASE("mixup: pictures and labels are mixed in the same ratio") {
    for (int64_t step = 0; step < 50; ++step) {
        Colours colours;
        const Tensor before = colours.batch.input;
        colours.batch.label = Tensor::from(std::vector<int64_t>{0, 1, 1, 1, 1, 1}, {kSamples});
        colours.apply("mixup", step);
        const auto labels = colours.batch.soft_label.to_vector<float>();
        const auto share = static_cast<double>(labels[0]);
        for (int64_t n = 0; n < kSamples; ++n) {
            const auto pixels = colours.picture(n);
            CHECK(pixels == std::vector<float>(kPixels, pixels[0]));
            if (share < 1) {  // picture 0 has a partner
                // value = share (n + 1) + (1 - share) partner
                const double partner =
                    (static_cast<double>(pixels[0]) - share * static_cast<double>(n + 1)) / (1 - share);
                CHECK(std::abs(partner - std::round(partner)) < 1e-3 / (1 - share));
            }
        }
        CHECK(labels[0] + labels[1] == doctest::Approx(1));
    }
}

TEST_CASE("mixup: the ratio follows Beta(a, a)") {
    // Sample 0 meets itself in one permutation of six, and its share is then 1.
    const auto expected = [](double variance) {
        const double square = 5.0 / 6 * (variance + 0.25) + 1.0 / 6, mean = 5.0 / 6 * 0.5 + 1.0 / 6;
        return std::pair(mean, square - mean * mean);
    };
    for (const double a : {0.2, 1.0, 4.0}) {
        CAPTURE(a);
        const auto [mean, variance] = share_statistics(concat_text("mixup(alpha=", a, ")"));
        const auto [true_mean, true_variance] = expected(1 / (4 * (2 * a + 1)));
        CHECK(mean == doctest::Approx(true_mean).epsilon(0.03));
        CHECK(variance == doctest::Approx(true_variance).epsilon(0.06));
    }
    const auto [mean, variance] = share_statistics("mixup(alpha=0.001)");  // 0 or 1
    CHECK(std::isfinite(mean));
    CHECK(variance == doctest::Approx(expected(0.25).second).epsilon(0.06));
}

TEST_CASE("mixup: several labels are mixed as targets, and so are their weights") {
    Colours colours;
    std::vector<float> target, weight(kSamples * kClasses, 1.0f);
    for (int64_t n = 0; n < kSamples; ++n) {
        target.insert(target.end(),
                      {static_cast<float>(n + 1), 1, 0});  // the first tells which picture it was
    }
    const Shape shape{kSamples, kClasses};
    colours.batch.label = {};
    colours.batch.target = Tensor::from(target, shape);
    weight[0] = 0;
    colours.batch.target_weight = Tensor::from(weight, shape);
    colours.apply("mixup", 3);
    CHECK_FALSE(colours.batch.soft_label.defined());
    const auto mixed = colours.batch.target.to_vector<float>();
    for (int64_t n = 0; n < kSamples; ++n) {
        CHECK(mixed[static_cast<size_t>(n) * kClasses] ==
              doctest::Approx(colours.picture(n)[0]).epsilon(1e-6));
        CHECK(mixed[static_cast<size_t>(n) * kClasses + 1] == doctest::Approx(1).epsilon(1e-6));
    }
    const auto weights = colours.batch.target_weight.to_vector<float>();
    CHECK(std::accumulate(weights.begin(), weights.end(), 0.0f) == doctest::Approx(kSamples * kClasses - 1));
}

TEST_CASE("cutout, cutmix, mixup: without effect no bit changes; a resume gives the same bits") {
    TrainConfig config;
    config.model = "cnn_small(in=3)";
    config.data = "shapes16(n=48, n_test=16)";
    config.epochs = 2;
    config.batch_size = 16;
    config.lr = 0.01;
    const std::string plain = weights_after(config, {});
    for (const char* text : {"cutout(size=0)", "cutmix(p=0)", "mixup(p=0)"}) {
        CHECK(weights_after(config, {text}) == plain);
    }
    for (const char* text : {"cutout", "cutmix", "mixup"}) {
        CHECK(weights_after(config, {text}) != plain);
        check_resume_with(config, {text}, 4);
    }
    config.augment = {"cutmix", "mixup"};
    CHECK(contains(error_of([&] { (void)train(config, with_augmentations()); }),
                   "both replace the labels of a batch"));
    for (const char* text : {"cutout", "cutmix"}) {
        config.augment = {text};
        config.model = config.data = "toy1";
        CHECK(error_of([&] { (void)train(config, with_augmentations()); }) ==
              concat_text(text, ": needs pictures (H,W,C), the samples are (5,)"));
    }
    config.augment = {"mixup"};
    (void)train(config, with_augmentations());
}
