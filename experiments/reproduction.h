// A reproduction: an experiment with a claim, a control, several seeds, and a verdict. Each lives in one file
// of experiments/reproductions/ and is one line of the table there; this is what they share: numbers by arm,
// metric and seed, paired comparisons, findings, and how all of it is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "augment/registry.h"
#include "report/page.h"
#include "report/plot.h"
#include "train/trainer.h"

namespace backlight {

struct Statistics {
    double mean = 0, deviation = 0;  // of the population (divisor n); of nothing: not a number
    int64_t count = 0;
};
[[nodiscard]] Statistics statistics_of(const std::vector<double>& values);

/// Numbers of an experiment: one for each arm, metric and seed.
class Measurements {
public:
    void add(const std::string& arm, const std::string& metric, int64_t seed, double value);
    /// In order of seeds; none of an arm that stopped at every seed. Throws Error on a metric of no arm.
    [[nodiscard]] std::vector<double> values(const std::string& arm, const std::string& metric) const;
    [[nodiscard]] const std::map<int64_t, double>& by_seed(const std::string& arm,
                                                           const std::string& metric) const;
    [[nodiscard]] double mean(const std::string& arm, const std::string& metric) const;
    [[nodiscard]] bool has(const std::string& arm, const std::string& metric) const;
    /// In the order in which they came.
    [[nodiscard]] const std::vector<std::string>& arms() const { return arms_; }
    [[nodiscard]] const std::vector<std::string>& metrics() const { return metrics_; }

    /// a - b seed by seed, of the seeds that both have: an arm that stopped has none for that seed. Without a
    /// common seed nothing is shown.
    struct Paired {
        Statistics difference;
        int64_t positive = 0, negative = 0;
        /// The mean has this sign and at least 4 of 5 of the seeds (all, where there are three or fewer)
        /// agree.
        [[nodiscard]] bool shows_increase() const;
        [[nodiscard]] bool shows_decrease() const;
    };
    [[nodiscard]] Paired paired(const std::string& a, const std::string& b, const std::string& metric) const;

private:
    std::vector<std::string> arms_, metrics_;
    std::map<std::pair<std::string, std::string>, std::map<int64_t, double>> values_;
};

/// A part of the claim, and whether the numbers hold it.
struct Finding {
    std::string claim;
    bool held = false;
    std::string numbers;  // "0.91 against 0.42; 5 of 5 seeds"
};

struct Reproduction {
    Measurements measured;
    std::vector<Finding> findings{};
    std::vector<report::Figure> figures{};  // written as SVG or PNG too
    std::vector<report::Table> tables{};    // beside that of `measured`
    std::vector<std::string> remarks{};     // what a reader must know: choices, what failed

    void find(std::string claim, bool held, std::string numbers);
    /// A finding about two arms: a is above (below) b.
    void find_above(const std::string& a, const std::string& b, const std::string& metric,
                    const std::string& claim, double margin = 0);
    void find_below(const std::string& a, const std::string& b, const std::string& metric,
                    const std::string& claim, double margin = 0);
    /// Whether the two arms have a seed in common; where not, a finding says so.
    [[nodiscard]] bool can_compare(const std::string& a, const std::string& b, const std::string& metric,
                                   const std::string& claim);
    [[nodiscard]] bool held() const;
};

struct ReproduceOptions {
    int64_t seeds = 0;                                 // 0: as the experiment has by itself
    std::string data;                                  // empty: the synthetic set of the experiment
    std::string model;                                 // empty: the network of the experiment
    int64_t epochs = 0;                                // 0: as the experiment has by itself
    std::function<void(const std::string&)> progress;  // told of each run that begins; may be empty

    [[nodiscard]] std::string data_or(const std::string& own) const { return data.empty() ? own : data; }
    [[nodiscard]] std::string model_or(const std::string& own) const { return model.empty() ? own : model; }
    [[nodiscard]] int64_t epochs_or(int64_t own) const { return epochs > 0 ? epochs : own; }
    void tell(const std::string& text) const {
        if (progress) {
            progress(text);
        }
    }
};

struct ReproductionEntry {
    std::string name;
    std::string title;
    std::string claim;    // what must hold
    std::string control;  // what it is compared with
    std::string source;
    int64_t seeds = 5;
    bool takes_data = false;  // --data
    std::string duration;     // on two cores
    Reproduction (*run)(const ReproductionEntry& entry, const ReproduceOptions& options);
};
[[nodiscard]] const std::vector<ReproductionEntry>& list_reproductions();
/// Throws Error on an unknown name, and on data for an experiment that takes none.
[[nodiscard]] const ReproductionEntry& find_reproduction(const std::string& name);

/// The augmentations of an arm that has one or, with an empty text, none.
[[nodiscard]] inline std::vector<std::string> one_or_none(const std::string& augment) {
    return augment.empty() ? std::vector<std::string>{} : std::vector<std::string>{augment};
}

/// Trains without a run folder, with the augmentations of the registry. `each_epoch` sees every evaluation.
[[nodiscard]] TrainResult train_quietly(
    TrainConfig config, const std::function<void(const TrainProgress&, const Evaluation&)>& each_epoch = {});

/// As train_quietly; nothing where the loss ceased to be finite.
[[nodiscard]] std::optional<TrainResult> train_while_finite(
    TrainConfig config, const std::function<void(const TrainProgress&, const Evaluation&)>& each_epoch = {});

/// The table of arms and metrics, mean ± deviation; findings; remarks.
void print_reproduction(std::ostream& out, const ReproductionEntry& entry, const Reproduction& result);
/// results.json, the figures as files, report.html.
void write_reproduction(const std::filesystem::path& folder, const ReproductionEntry& entry,
                        const Reproduction& result, const std::string& command);

/// Curves by arm: the mean over seeds with one deviation as band. `curves[arm][seed][step]`, all equally
/// long.
struct Curves {
    std::vector<std::string> arms;
    std::map<std::string, std::vector<std::vector<double>>> runs;
    void add(const std::string& arm, std::vector<double> run);
    [[nodiscard]] std::vector<double> mean(const std::string& arm) const;
    [[nodiscard]] report::LineChart chart(const std::string& title, const std::string& x_label,
                                          const std::string& y_label) const;
};

/// "0.913".
[[nodiscard]] std::string number_text(double value, int digits = 3);

}  // namespace backlight
