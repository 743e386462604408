// Concept vectors and TCAV over a data set: what commands compute, write and show.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/concept_data.h"
#include "explain/concepts/tcav.h"

namespace backlight {

/// What both analyses read.
struct ConceptSource {
    const Model& model;
    std::shared_ptr<const Dataset> data;  // whose samples are ranked or explained
    std::string data_name;                // for the reader of the page
    std::string layer;
    ActivationPooling pooling = ActivationPooling::average;
    int64_t batch_size = 0;
};

struct CavFinding {
    std::string name;
    int64_t with = 0, without = 0;  // samples
    ConceptVector vector;
    std::vector<double> projection;  // v·a + offset of every sample of the data, a averaged over positions
};
[[nodiscard]] CavFinding find_concept(const ConceptSource& source, const SampleSet& concept_set,
                                      const SampleSet& random, const CavOptions& options);
/// cav.npy (C), projections.npy (n), cav.json and report.html, which shows the samples farthest to either
/// side.
void write_cav(const ConceptSource& source, const CavFinding& found, const CavOptions& options,
               const std::filesystem::path& folder);

struct TcavRun {
    ConceptSource source;
    ExplainContext context;
    std::string method = "gradient";  // of the sensitivity
    std::vector<SampleSet> concepts;
    std::vector<SampleSet> random;  // what the random sets of each concept are drawn from
    std::vector<int64_t> classes;
    int64_t samples = 0;  // of a class, at most; 0: all
    TcavOptions options;
    double level = 0.05;  // of significance, divided by the number of tests
};
struct TcavFinding {
    std::string concept_name, class_name;
    int64_t class_number = 0, samples = 0;
    double accuracy = 0;  // mean of the concept's vectors
    bool disjoint = false;
    TcavResult result;
};
/// One a concept and class. Throws Error when a class has no sample.
[[nodiscard]] std::vector<TcavFinding> run_tcav(const TcavRun& run);
/// Whether S differs from that of random vectors at the level, divided by the number of tests (Bonferroni).
[[nodiscard]] bool is_significant(const TcavRun& run, size_t tests, const TcavFinding& found);
/// tcav.json and report.html.
void write_tcav(const TcavRun& run, const std::vector<TcavFinding>& found,
                const std::filesystem::path& folder);

}  // namespace backlight
