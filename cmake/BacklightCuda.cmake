# Looks for CUDA as BACKLIGHT_CUDA asks and says in BACKLIGHT_CUDA_STATUS what it found, or why not.
# So far there is no CUDA backend: nvcc compiles the elementwise functors that every backend shares, and so
# keeps them fit for a GPU (target cuda_functors).
if(NOT BACKLIGHT_CUDA MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "BACKLIGHT_CUDA: expected AUTO, ON or OFF, got '${BACKLIGHT_CUDA}'")
endif()

set(BACKLIGHT_CUDA_FOUND OFF)
set(BACKLIGHT_CUDA_STATUS "off (BACKLIGHT_CUDA=OFF)")
if(BACKLIGHT_CUDA STREQUAL "AUTO" AND NOT PROJECT_IS_TOP_LEVEL)
    set(BACKLIGHT_CUDA_STATUS "off (built inside another project)")
elseif(NOT BACKLIGHT_CUDA STREQUAL "OFF")
    # Unset it would become 75, `native` fails without a GPU: plain PTX is enough to check the code.
    if(NOT CMAKE_CUDA_ARCHITECTURES)
        set(CMAKE_CUDA_ARCHITECTURES 80-virtual)
    endif()
    if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX} AND EXISTS /usr/local/cuda/bin/nvcc)
        set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
    endif()
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        enable_language(CUDA)
        # CMake 3.25 does not know that nvcc speaks C++20.
        if(CMAKE_VERSION VERSION_LESS 3.26)
            set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
            set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
            list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
        endif()
        set(BACKLIGHT_CUDA_FOUND ON)
        set(BACKLIGHT_CUDA_STATUS "nvcc ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER})")
    else()
        set(BACKLIGHT_CUDA_STATUS "not found: no working nvcc in PATH, CUDACXX or /usr/local/cuda/bin")
        if(BACKLIGHT_CUDA STREQUAL "ON")
            message(FATAL_ERROR "BACKLIGHT_CUDA=ON, but CUDA was ${BACKLIGHT_CUDA_STATUS}. "
                                "Install the CUDA toolkit, point CUDACXX at nvcc, or use BACKLIGHT_CUDA=AUTO.")
        endif()
    endif()
endif()
