# Finds oneDNN and provides the imported target oneDNN::dnnl.
#
#   find_package(oneDNN 3.2 REQUIRED)
#
# Looks under ONEDNN_ROOT if that is set; otherwise under CMAKE_PREFIX_PATH, in the environment that scripts/onednn.sh
# fills by default and in the system. In these places it takes the package configuration (dnnl-config.cmake), or else
# header and library. A oneDNN older than 3.2 is refused, whatever version was asked for (docs/onednn.md), and so is one
# whose CPU part does not run on OpenMP.
#
# Sets oneDNN_FOUND, oneDNN_VERSION, oneDNN_INCLUDE_DIR and oneDNN_LIBRARY.

set(ONEDNN_ROOT "" CACHE PATH "Prefix of oneDNN (include/ and lib/), as printed by scripts/onednn.sh")

set(_onednn_minimum 3.2)
if(oneDNN_FIND_VERSION VERSION_GREATER _onednn_minimum)
    set(_onednn_minimum ${oneDNN_FIND_VERSION})
endif()

# Reads the version and the threading of the oneDNN whose headers are in the directory. Sets <out> to its version, or to
# nothing and <out>_reason to an explanation if it cannot be used.
function(_onednn_inspect include out)
    set(version "")
    set(reason "")
    string(REGEX REPLACE "/$" "" include "${include}")
    set(headers "${include}/oneapi/dnnl")
    if(NOT EXISTS "${headers}/dnnl_version.h" OR NOT EXISTS "${headers}/dnnl_config.h")
        set(reason "${include} has no oneapi/dnnl/dnnl_version.h")
    else()
        file(STRINGS "${headers}/dnnl_version.h" lines REGEX "^#define DNNL_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
        foreach(part MAJOR MINOR PATCH)
            string(REGEX MATCH "DNNL_VERSION_${part} +([0-9]+)" _ "${lines}")
            list(APPEND version "${CMAKE_MATCH_1}")
        endforeach()
        list(JOIN version "." version)
        file(STRINGS "${headers}/dnnl_config.h" threading REGEX "^#define DNNL_CPU_THREADING_RUNTIME ")
        if(version VERSION_LESS _onednn_minimum)
            set(reason "${include} has version ${version}, but at least ${_onednn_minimum} is needed")
        elseif(NOT threading MATCHES "DNNL_RUNTIME_OMP")
            set(reason "${include} is not a build with OpenMP")
        endif()
    endif()
    if(reason)
        set(version "")
    endif()
    set(${out} "${version}" PARENT_SCOPE)
    set(${out}_reason "${reason}" PARENT_SCOPE)
endfunction()

if(TARGET oneDNN::dnnl)
    get_target_property(oneDNN_LIBRARY oneDNN::dnnl IMPORTED_LOCATION)
    get_target_property(oneDNN_INCLUDE_DIR oneDNN::dnnl INTERFACE_INCLUDE_DIRECTORIES)
    _onednn_inspect("${oneDNN_INCLUDE_DIR}" oneDNN_VERSION)
else()
    set(oneDNN_INCLUDE_DIR "")
    set(oneDNN_LIBRARY "")
    set(oneDNN_VERSION "")
    set(_onednn_refused "")

    if(ONEDNN_ROOT)
        set(_onednn_places PATHS "${ONEDNN_ROOT}" NO_DEFAULT_PATH)
    elseif(DEFINED ENV{BACKLIGHT_VENV})
        set(_onednn_places HINTS "$ENV{BACKLIGHT_VENV}")
    else()
        set(_onednn_places HINTS "$ENV{HOME}/.cache/backlight/venv")
    endif()

    # With the version, CMake passes over an older package and goes on looking. Of the package's target only the two
    # paths are taken; it says nothing else of use.
    find_package(dnnl ${_onednn_minimum} CONFIG QUIET ${_onednn_places})
    if(TARGET DNNL::dnnl)
        get_target_property(_onednn_include DNNL::dnnl INTERFACE_INCLUDE_DIRECTORIES)
        get_target_property(_onednn_library DNNL::dnnl LOCATION)
        list(GET _onednn_include 0 _onednn_include)
        _onednn_inspect("${_onednn_include}" oneDNN_VERSION)
        if(oneDNN_VERSION)
            set(oneDNN_INCLUDE_DIR "${_onednn_include}")
            set(oneDNN_LIBRARY "${_onednn_library}")
        else()
            list(APPEND _onednn_refused "${oneDNN_VERSION_reason}")
        endif()
    endif()

    if(NOT oneDNN_LIBRARY)
        unset(_onednn_include)
        find_path(_onednn_include oneapi/dnnl/dnnl.hpp ${_onednn_places} PATH_SUFFIXES include NO_CACHE)
        find_library(_onednn_found_library NAMES dnnl libdnnl.so.3 ${_onednn_places} PATH_SUFFIXES lib lib64 NO_CACHE)
        if(_onednn_include AND _onednn_found_library)
            _onednn_inspect("${_onednn_include}" oneDNN_VERSION)
            if(oneDNN_VERSION)
                set(oneDNN_INCLUDE_DIR "${_onednn_include}")
                set(oneDNN_LIBRARY "${_onednn_found_library}")
            else()
                list(APPEND _onednn_refused "${oneDNN_VERSION_reason}")
            endif()
        endif()
        unset(_onednn_found_library)
    endif()
endif()

include(FindPackageHandleStandardArgs)
set(_onednn_message "scripts/onednn.sh installs oneDNN and prints the value for ONEDNN_ROOT")
if(_onednn_refused)
    list(REMOVE_DUPLICATES _onednn_refused)
    list(JOIN _onednn_refused ", " _onednn_refused)
    string(APPEND _onednn_message " (refused: ${_onednn_refused})")
endif()
find_package_handle_standard_args(oneDNN
    REQUIRED_VARS oneDNN_LIBRARY oneDNN_INCLUDE_DIR
    VERSION_VAR oneDNN_VERSION
    REASON_FAILURE_MESSAGE "${_onednn_message}")

if(oneDNN_FOUND AND NOT TARGET oneDNN::dnnl)
    # CMake puts the library's directory in the rpath of what is linked in the build tree; BacklightInstall.cmake looks
    # after installed files.
    add_library(oneDNN::dnnl SHARED IMPORTED)
    set_target_properties(oneDNN::dnnl PROPERTIES
        IMPORTED_LOCATION "${oneDNN_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${oneDNN_INCLUDE_DIR}")
endif()
unset(_onednn_minimum)
unset(_onednn_places)
unset(_onednn_include)
unset(_onednn_library)
unset(_onednn_refused)
unset(_onednn_message)
