// Pictures that cannot be read, given to the real program.
#include "core/io/image.h"
#include "tests/cli/support.h"

using namespace backlight;
using namespace backlight::cli_testing;

TEST_CASE("cli: unreadable pictures are skipped and named, or stop with exit code 2") {
    const Workshop shop;
    for (const char* part : {"train", "test"}) {
        for (const char* place : {"a", "b"}) {
            for (int i = 0; i < 4; ++i) {
                std::vector<uint8_t> png =
                    encode_png(Tensor::full({8, 8, 3}, place[0] == 'a' ? i : 255 - i, DType::u8));
                png.resize(place[0] == 'a' && i == 2 ? png.size() / 2 : png.size());
                testing::write_bytes(
                    std::filesystem::path(shop / "data") / part / place / (std::to_string(i) + ".png"), png);
            }
        }
    }
    const std::string data = "folder:" + (shop / "data"), run = shop / "run";
    const auto train = [&](const std::string& on_corrupt) {
        return shop.run({"train", "--model", "cnn_small(in=3)", "--data", data, "--run", run, "--epochs", "1",
                         "--batch-size", "4", "--overwrite", "--on-corrupt", on_corrupt});
    };
    const Result skipped = train("skip");
    INFO(skipped.err);
    CHECK(skipped.code == 0);
    CHECK(contains(skipped.out, "skipped 2 samples that cannot be read: " + (shop / "data/test/a/2.png")));
    CHECK(contains(skipped.out, "; " + (shop / "data/train/a/2.png") + ": truncated PNG picture"));
    CHECK(contains(slurp(run + "/report.html"), "skipped 2 samples"));

    const Result stopped = train("stop");
    CHECK(stopped.code == 2);
    CHECK(contains(stopped.err, "a/2.png: truncated PNG picture"));
    CHECK(train("ignore").code == 2);

    const auto evaluate = [&](const std::string& on_corrupt) {
        return shop.run({"evaluate", "--model", "cnn_small(in=3)", "--weights", run + "/weights.safetensors",
                         "--data", data, "--on-corrupt", on_corrupt});
    };
    CHECK(train("skip").code == 0);
    CHECK(contains(evaluate("skip").out, "of 7 samples"));
    CHECK(contains(evaluate("skip").out, "skipped 1 sample that cannot be read: "));
    CHECK(evaluate("stop").code == 2);
    shop.succeed({"data", data, "--out", shop / "sheet.png"});
}
