#include <CLI/CLI.hpp>
#include "apps/concepts.h"
namespace backlight::apps {
Run add_cav(CLI::App& concepts) { concepts.add_subcommand("cav", ""); return [] { return 0; }; }
Run add_tcav(CLI::App& concepts) { concepts.add_subcommand("tcav", ""); return [] { return 0; }; }
}
