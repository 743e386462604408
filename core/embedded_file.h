// Files of the source tree within the library.
#pragma once

// clang-format off
/// Puts the bytes of `path`, found by the assembler on the include path, into read-only data, at global scope:
/// backlight_NAME_begin to backlight_NAME_end.
#define BACKLIGHT_EMBED(name, path)                        \
    __asm__(".pushsection .rodata\n"                       \
            ".global backlight_" #name "_begin\n"          \
            ".hidden backlight_" #name "_begin\n"          \
            "backlight_" #name "_begin:\n"                 \
            ".incbin \"" path "\"\n"                       \
            ".global backlight_" #name "_end\n"            \
            ".hidden backlight_" #name "_end\n"            \
            "backlight_" #name "_end:\n"                   \
            ".byte 0\n"                                    \
            ".popsection\n");                              \
    extern "C" {                                           \
    extern const unsigned char backlight_##name##_begin[]; \
    extern const unsigned char backlight_##name##_end[];   \
    }
// clang-format on
