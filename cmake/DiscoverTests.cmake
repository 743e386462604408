# cmake -DPROGRAM=... -DOUTPUT=... -DTESTS_DIR=... -DWORKING_DIR=... -P DiscoverTests.cmake
# Asks a doctest program for its cases and writes one add_test per (source file, label).
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND "${PROGRAM}" --list-test-cases --reporters=xml --no-skip=true
                WORKING_DIRECTORY "${WORKING_DIR}" OUTPUT_VARIABLE listing RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "cannot list the tests of ${PROGRAM} (exit ${result}):\n${listing}")
endif()

set(known_suites slow gpu)
string(REGEX REPLACE "[][;]" "_" listing "${listing}")  # a name may hold what CMake's lists are made of
string(REGEX MATCHALL "<TestCase [^\n]*/>" cases "${listing}")
set(keys "")
foreach(case IN LISTS cases)
    string(REGEX MATCH " filename=\"([^\"]*)\"" ignored "${case}")
    set(path "${CMAKE_MATCH_1}")
    # ccache with a base_dir compiles paths that are relative to the build folder.
    cmake_path(GET PROGRAM PARENT_PATH build_dir)
    cmake_path(ABSOLUTE_PATH path BASE_DIRECTORY "${build_dir}" NORMALIZE)
    cmake_path(RELATIVE_PATH path BASE_DIRECTORY "${TESTS_DIR}" OUTPUT_VARIABLE file)
    set(label quick)
    if(case MATCHES " testsuite=\"([^\"]*)\"" AND CMAKE_MATCH_1 IN_LIST known_suites)
        set(label ${CMAKE_MATCH_1})
    endif()
    list(APPEND keys "${file}|${label}")
endforeach()
list(REMOVE_DUPLICATES keys)
list(SORT keys)

set(script "")
foreach(key IN LISTS keys)
    string(REGEX MATCH "^(.*)\\|(.*)$" ignored "${key}")
    set(file "${CMAKE_MATCH_1}")
    set(label "${CMAKE_MATCH_2}")
    string(REGEX REPLACE "(_test)?\\.(cpp|h)$" "" name "${file}")
    if(label STREQUAL "quick")
        set(filter "--test-suite-exclude=slow,gpu")
        set(timeout 300)
    else()
        set(filter "--test-suite=${label}")
        set(name "${name}.${label}")
        set(timeout 1200)
    endif()
    string(APPEND script
        "add_test([==[${name}]==] [==[${PROGRAM}]==] [==[--source-file=*/tests/${file}]==] [==[${filter}]==])\n"
        "set_tests_properties([==[${name}]==] PROPERTIES LABELS ${label} TIMEOUT ${timeout}"
        " WORKING_DIRECTORY [==[${WORKING_DIR}]==] ENVIRONMENT OMP_WAIT_POLICY=passive"
        " FAIL_REGULAR_EXPRESSION [==[test cases: +0 ]==])\n")
endforeach()
file(WRITE "${OUTPUT}" "${script}")
