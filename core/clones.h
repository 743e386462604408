// One function, several instruction sets: how plain loops become the vector code of the machine they run on.
#pragma once

// Compiles a function once for each level of x86-64 and picks one when the program is loaded: one binary for
// every machine, without -march=native. Contraction is off in the whole project, so elementwise results are
// the same bits at every level.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BACKLIGHT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BACKLIGHT_CLONES
#endif
// No iteration reads what another one writes; in-place use (y = x) is covered.
#define BACKLIGHT_INDEPENDENT _Pragma("GCC ivdep")
