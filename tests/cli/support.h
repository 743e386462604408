// What the tests of the command line share: running the real program, its streams, small weight files and
// inputs.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <limits>
#include <thread>

#include "core/io/npy.h"
#include "core/io/safetensors.h"
#include "core/random.h"
#include "layers/state.h"
#include "models/model.h"
#include "tests/train/support.h"

extern char** environ;

namespace backlight::cli_testing {

using train_testing::contains;
using train_testing::metrics_of;
using train_testing::slurp;
using train_testing::TemporaryFolder;

using Arguments = std::vector<std::string>;

/// The program, running. Its streams go to files beside each other.
class Process {
public:
    Process(const std::filesystem::path& folder, const Arguments& arguments)
        : out_(folder / "stdout.txt"), err_(folder / "stderr.txt") {
        std::vector<std::string> text{BACKLIGHT_BINARY};
        text.insert(text.end(), arguments.begin(), arguments.end());
        std::vector<char*> argv;
        for (std::string& argument : text) {
            argv.push_back(argument.data());
        }
        argv.push_back(nullptr);
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out_.c_str(), kFlags, 0644);
        posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err_.c_str(), kFlags, 0644);
        const int failed = posix_spawn(&id_, BACKLIGHT_BINARY, &files, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&files);
        REQUIRE_MESSAGE(failed == 0, BACKLIGHT_BINARY << " cannot be started");
    }
    ~Process() {
        if (id_ > 0) {
            ::kill(id_, SIGKILL);
            (void)wait();
        }
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    void signal(int number) const { REQUIRE(::kill(id_, number) == 0); }
    [[nodiscard]] bool running() {
        if (id_ > 0 && ::waitpid(id_, &status_, WNOHANG) == id_) {
            id_ = 0;
        }
        return id_ > 0;
    }
    /// Exit code, or minus the signal that ended it.
    int wait() {
        if (id_ > 0) {
            while (::waitpid(id_, &status_, 0) < 0 && errno == EINTR) {
            }
            id_ = 0;
        }
        return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
    }
    [[nodiscard]] std::string out() const { return slurp(out_); }
    [[nodiscard]] std::string err() const { return slurp(err_); }

private:
    std::filesystem::path out_, err_;
    pid_t id_ = 0;
    int status_ = 0;
};

struct Result {
    int code = 0;
    std::string out, err;
};

/// A folder to work in, and the program run in it to its end.
class Workshop {
public:
    Workshop() { ::setenv("OMP_WAIT_POLICY", "passive", 1); }

    [[nodiscard]] std::string operator/(const std::string& name) const {
        return (folder_.path() / name).string();
    }
    [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }

    [[nodiscard]] Result run(const Arguments& arguments) const {
        Process process(folder_.path(), arguments);
        Result result{.code = process.wait(), .out = process.out(), .err = process.err()};
        return result;
    }
    /// Has to succeed; returns what it printed.
    std::string succeed(const Arguments& arguments) const {
        const Result result = run(arguments);
        INFO(line_of(arguments), "\n", result.out, result.err);
        CHECK(result.code == 0);
        CHECK(result.err.empty());
        return result.out;
    }
    /// Has to end with code 2 and one line on stderr that holds the parts; `output` must not exist
    /// afterwards.
    std::string refuse(const Arguments& arguments, const std::vector<std::string>& parts,
                       const std::string& output = "") const {
        const Result result = run(arguments);
        INFO(line_of(arguments), "\n", result.out, result.err);
        CHECK(result.code == 2);
        CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
        CHECK(result.err.starts_with("backlight: "));
        CHECK(result.err.ends_with('\n'));
        for (const std::string& part : parts) {
            INFO("expected in the error: ", part);
            CHECK(contains(result.err, part));
        }
        if (!output.empty()) {
            CHECK_FALSE(std::filesystem::exists(output));
        }
        return result.err;
    }
    [[nodiscard]] Process start(const Arguments& arguments) const { return {folder_.path(), arguments}; }

    /// Weights of a fresh model, batch norm statistics not trivial.
    std::string weights(const std::string& name, const std::string& spec, int64_t classes = 0) const {
        const Model model = build_model(spec, classes, 7);
        for (const Buffer& buffer : model.net->buffers()) {
            if (is_floating(buffer.value->dtype())) {
                buffer.value->fill(buffer.name.ends_with("running_var") ? 0.8 : 0.1);
            }
        }
        write_safetensors(*this / name, state_dict(*model.net));
        return *this / name;
    }
    /// Uniform numbers in [0, 1).
    std::string input(const std::string& name, const Shape& shape, uint64_t seed = 1) const {
        std::vector<float> values(static_cast<size_t>(shape.numel()));
        RandomStream(seed).fill_uniform(values);
        write_npy(*this / name, Tensor::from(values, shape));
        return *this / name;
    }

private:
    static std::string line_of(const Arguments& arguments) {
        std::string line = "backlight";
        for (const std::string& argument : arguments) {
            line += " '" + argument + "'";
        }
        return line;
    }

    TemporaryFolder folder_;
};

inline Arguments operator+(Arguments a, const Arguments& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace backlight::cli_testing
