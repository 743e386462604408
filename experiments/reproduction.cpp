#include "experiments/reproduction.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace backlight {

Statistics statistics_of(const std::vector<double>& values) {
    Statistics s{.count = static_cast<int64_t>(values.size())};
    if (values.empty()) {
        s.mean = s.deviation = std::nan("");
    }
    for (const double v : values) {
        s.mean += v / static_cast<double>(values.size());
    }
    for (const double v : values) {
        s.deviation += (v - s.mean) * (v - s.mean) / static_cast<double>(values.size());
    }
    s.deviation = std::sqrt(s.deviation);
    return s;
}

void Measurements::add(const std::string& arm, const std::string& metric, int64_t seed, double value) {
    const auto remember = [](std::vector<std::string>& names, const std::string& name) {
        if (std::find(names.begin(), names.end(), name) == names.end()) {
            names.push_back(name);
        }
    };
    remember(arms_, arm);
    remember(metrics_, metric);
    values_[{arm, metric}][seed] = value;
}

bool Measurements::has(const std::string& arm, const std::string& metric) const {
    return values_.contains({arm, metric});
}

const std::map<int64_t, double>& Measurements::by_seed(const std::string& arm,
                                                       const std::string& metric) const {
    BACKLIGHT_CHECK(std::find(metrics_.begin(), metrics_.end(), metric) != metrics_.end(),
                    "reproduce: ", metric, " was not measured");
    static const std::map<int64_t, double> none;  // of an arm that stopped at every seed
    const auto found = values_.find({arm, metric});
    return found == values_.end() ? none : found->second;
}

std::vector<double> Measurements::values(const std::string& arm, const std::string& metric) const {
    std::vector<double> values;
    for (const auto& [seed, value] : by_seed(arm, metric)) {
        values.push_back(value);
    }
    return values;
}

double Measurements::mean(const std::string& arm, const std::string& metric) const {
    return statistics_of(values(arm, metric)).mean;
}

Measurements::Paired Measurements::paired(const std::string& a, const std::string& b,
                                          const std::string& metric) const {
    const std::map<int64_t, double>&first = by_seed(a, metric), &second = by_seed(b, metric);
    std::vector<double> differences;
    Paired paired;
    for (const auto& [seed, value] : first) {
        const auto other = second.find(seed);
        if (other == second.end()) {
            continue;
        }
        differences.push_back(value - other->second);
        paired.positive += differences.back() > 0 ? 1 : 0;
        paired.negative += differences.back() < 0 ? 1 : 0;
    }
    paired.difference = statistics_of(differences);
    return paired;
}

namespace {

bool enough(int64_t agreeing, int64_t of) { return of <= 3 ? agreeing == of : 5 * agreeing >= 4 * of; }

}  // namespace

bool Measurements::Paired::shows_increase() const {
    return difference.mean > 0 && enough(positive, difference.count);
}
bool Measurements::Paired::shows_decrease() const {
    return difference.mean < 0 && enough(negative, difference.count);
}

void Reproduction::find(std::string claim, bool held, std::string numbers) {
    findings.push_back({std::move(claim), held, std::move(numbers)});
}

bool Reproduction::can_compare(const std::string& a, const std::string& b, const std::string& metric,
                               const std::string& claim) {
    const bool can = measured.paired(a, b, metric).difference.count > 0;
    if (!can) {
        find(claim, false, concat_text(metric, ": ", a, " and ", b, " have no seed in common that ended"));
    }
    return can;
}

void Reproduction::find_above(const std::string& a, const std::string& b, const std::string& metric,
                              const std::string& claim, double margin) {
    if (!can_compare(a, b, metric, claim)) {
        return;
    }
    const Measurements::Paired paired = measured.paired(a, b, metric);
    find(claim, paired.shows_increase() && paired.difference.mean >= margin,
         concat_text(metric, ": ", a, ' ', number_text(measured.mean(a, metric)), ", ", b, ' ',
                     number_text(measured.mean(b, metric)), "; higher in ", paired.positive, " of ",
                     paired.difference.count, " seeds"));
}

void Reproduction::find_below(const std::string& a, const std::string& b, const std::string& metric,
                              const std::string& claim, double margin) {
    if (!can_compare(a, b, metric, claim)) {
        return;
    }
    const Measurements::Paired paired = measured.paired(a, b, metric);
    find(claim, paired.shows_decrease() && -paired.difference.mean >= margin,
         concat_text(metric, ": ", a, ' ', number_text(measured.mean(a, metric)), ", ", b, ' ',
                     number_text(measured.mean(b, metric)), "; lower in ", paired.negative, " of ",
                     paired.difference.count, " seeds"));
}

bool Reproduction::held() const {
    return std::all_of(findings.begin(), findings.end(), [](const Finding& f) { return f.held; });
}

const ReproductionEntry& find_reproduction(const std::string& name) {
    std::vector<std::string> known;
    for (const ReproductionEntry& entry : list_reproductions()) {
        known.push_back(entry.name);
        if (entry.name == name) {
            return entry;
        }
    }
    throw_error(unknown_name("reproduction", name, known) + " (backlight reproduce --list)");
}

TrainResult train_quietly(TrainConfig config,
                          const std::function<void(const TrainProgress&, const Evaluation&)>& each_epoch) {
    config.run.clear();
    TrainHooks hooks;
    hooks.make_augmentation = build_augmentation;
    hooks.epoch = each_epoch;
    return train(config, hooks);
}

std::optional<TrainResult> train_while_finite(
    TrainConfig config, const std::function<void(const TrainProgress&, const Evaluation&)>& each_epoch) {
    try {
        return train_quietly(std::move(config), each_epoch);
    } catch (const Error& error) {
        if (std::string(error.what()).find("not finite") == std::string::npos) {
            throw;
        }
        return std::nullopt;
    }
}

void Curves::add(const std::string& arm, std::vector<double> run) {
    if (!runs.contains(arm)) {
        arms.push_back(arm);
    }
    runs[arm].push_back(std::move(run));
}

std::vector<double> Curves::mean(const std::string& arm) const {
    const auto& all = runs.at(arm);
    std::vector<double> means(all.at(0).size(), 0.0);
    for (const std::vector<double>& run : all) {
        for (size_t i = 0; i < means.size(); ++i) {
            means[i] += run.at(i) / static_cast<double>(all.size());
        }
    }
    return means;
}

report::LineChart Curves::chart(const std::string& title, const std::string& x_label,
                                const std::string& y_label) const {
    report::LineChart chart{.title = title, .x_label = x_label, .y_label = y_label};
    for (const std::string& arm : arms) {
        const auto& all = runs.at(arm);
        report::Series series{.name = arm};
        for (size_t i = 0; i < all.at(0).size(); ++i) {
            std::vector<double> values;
            for (const std::vector<double>& run : all) {
                values.push_back(run.at(i));
            }
            const Statistics s = statistics_of(values);
            series.x.push_back(static_cast<double>(i + 1));
            series.y.push_back(s.mean);
            series.low.push_back(s.mean - s.deviation);
            series.high.push_back(s.mean + s.deviation);
        }
        chart.series.push_back(std::move(series));
    }
    return chart;
}

std::string number_text(double value, int digits) {
    if (!std::isfinite(value)) {
        return "not finite";
    }
    char text[64];
    const bool tiny = value != 0 && std::abs(value) < 0.5 * std::pow(10.0, -digits);
    if (tiny) {
        std::snprintf(text, sizeof text, "%.1e", value);
    } else {
        std::snprintf(text, sizeof text, "%.*f", digits, value);
    }
    return text;
}

}  // namespace backlight
