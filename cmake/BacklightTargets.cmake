# The shape of a Backlight target: its flags, its header layout, its alias.

# Flags for our own code only. -ffast-math is out: it breaks NaN checks and the promise of equal bits.
# No errno and no trapping mathematics change no result; contraction is off, so that a formula gives
# the same bits in every backend and on every instruction set.
function(backlight_build_flags target)
    target_compile_features(${target} PRIVATE cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE
        $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor>
        $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-fno-math-errno -fno-trapping-math -ffp-contract=off>)
    # Attribute structs are written with the fields that differ from the default: that is their purpose.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Wno-missing-field-initializers>)
    # GCC 12 reports overlapping copies inside std::string operator+ that cannot happen (GCC bug 105651).
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
    endif()
    if(BACKLIGHT_WERROR)
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-Werror>)
    endif()
    if(BACKLIGHT_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${BACKLIGHT_SANITIZE} -fno-sanitize-recover=all
                                                 -fno-omit-frame-pointer)
        # Public, because a user of a sanitized static library has to link the runtime too.
        get_target_property(type ${target} TYPE)
        if(type STREQUAL "STATIC_LIBRARY")
            target_link_options(${target} INTERFACE -fsanitize=${BACKLIGHT_SANITIZE})
        else()
            target_link_options(${target} PRIVATE -fsanitize=${BACKLIGHT_SANITIZE})
        endif()
    endif()
endfunction()

# backlight_component(<folder> [DEPENDS <folder>...] [PRIVATE <target>...] [INCLUDES <directory>...])
# makes backlight_<folder>, alias Backlight::<folder>, from <folder>/**/*.cpp. Headers lie beside the sources
# and are included from the repository root: #include "core/tensor.h". A folder without sources is skipped,
# and its absence is not an error for those who depend on it.
set(BACKLIGHT_COMPONENTS "")
set(BACKLIGHT_COMPONENT_TARGETS "")
function(backlight_component folder)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS;PRIVATE;INCLUDES")
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.cpp")
    file(GLOB_RECURSE headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.h")
    list(FILTER sources EXCLUDE REGEX "/core/backends/cuda/")
    # Headers of one backend's own kernels may name its library; they are neither installed nor public.
    list(FILTER headers EXCLUDE REGEX "/core/backends/(cpu|cuda)/")
    if(NOT sources)
        return()
    endif()

    set(target backlight_${folder})
    add_library(${target} STATIC ${sources})
    add_library(Backlight::${folder} ALIAS ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${folder} POSITION_INDEPENDENT_CODE ON)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${headers})
    target_include_directories(${target} SYSTEM PRIVATE ${arg_INCLUDES})
    foreach(other IN LISTS arg_DEPENDS)
        if(TARGET backlight_${other})
            target_link_libraries(${target} PUBLIC backlight_${other})
        endif()
    endforeach()
    target_link_libraries(${target} PRIVATE ${arg_PRIVATE})
    backlight_build_flags(${target})

    set(BACKLIGHT_COMPONENTS ${BACKLIGHT_COMPONENTS} ${folder} PARENT_SCOPE)
    set(BACKLIGHT_COMPONENT_TARGETS ${BACKLIGHT_COMPONENT_TARGETS} ${target} PARENT_SCOPE)
endfunction()
