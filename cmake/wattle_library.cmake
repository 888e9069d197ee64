# wattle_library(NAME place SRCS place.cc DEPS wattle::predict TESTS place_test.cc TEST_DEPS … LABELS numerics)
# Defines one library for each folder, and a link test: an empty program that links the whole library with only its
# declared DEPS, so that a dependency that is used but not declared fails the build.
# LABELS default to `unit`. A header-only library omits SRCS.
# WATTLE_UNITY compiles a library in batches of eight files (wattle_batches). Files with flags of their own are compiled separately, and so
# are sources after SINGLE: the six for which a batch costs most, measured by edits in git's history times the extra seconds of a batch.

add_library(wattle_warnings INTERFACE)
# -Wrestrict raises false alarms in GCC 12 for any "literal" + std::string (GCC bug 105651). clang's -Wconversion includes -Wsign-conversion,
# GCC's does not.
target_compile_options(wattle_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
                                                 $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)

if(WATTLE_SANITIZE)
  add_compile_options(-fsanitize=${WATTLE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WATTLE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    # The vptr check queries the kernel's memory map, which a sandboxed program may not do. The function check rejects a fake of a
    # C library, because the fake's structs are different types.
    add_compile_options(-fno-sanitize=vptr,function)
    add_link_options(-fno-sanitize=vptr,function)
    if(WATTLE_SANITIZE MATCHES address)
      add_compile_definitions(__SANITIZE_ADDRESS__=1)  # GCC's macro, which sources test for the sanitizer
    endif()
  endif()
  if(WATTLE_SANITIZE MATCHES thread)
    # Under this macro protobuf's map_field.h adds members that the system's library lacks, and a google.protobuf.Struct
    # crashes. libstdc++ tests its own macro, which is derived from the first one.
    add_compile_options(-U__SANITIZE_THREAD__ -D_GLIBCXX_TSAN=1)
    # A program must load this library before every other, so that its symbols take precedence over those of Abseil and gRPC.
    add_library(wattle_tsan_order SHARED ${CMAKE_CURRENT_LIST_DIR}/tsan_abseil.cc ${CMAKE_CURRENT_LIST_DIR}/tsan_grpc.cc)
    target_link_libraries(wattle_tsan_order PRIVATE ${CMAKE_DL_LIBS})
    # Each program contains its suppressions.
    add_library(wattle_tsan_suppressions OBJECT ${CMAKE_CURRENT_LIST_DIR}/tsan_suppressions.cc)
    add_dependencies(wattle_tsan_order wattle_tsan_suppressions)
    link_libraries(wattle_tsan_order)
    add_link_options("$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:LINKER:--push-state,--no-as-needed,$<TARGET_FILE:wattle_tsan_order>,--pop-state>"
                     "$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_OBJECTS:wattle_tsan_suppressions>;LINKER:--export-dynamic-symbol=__tsan_default_suppressions>")
  endif()
endif()

# A file with fault points is compiled to its own object: the simulation's copy replaces that object, not a batch (sim/).
function(wattle_single_fault_points)
  foreach(file ${ARGN})
    if(file MATCHES "\\.cc$" AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      file(STRINGS ${file} fault_points REGEX "^#include \"base/fault_point.h\"" LIMIT_COUNT 1)
      if(fault_points)
        set_source_files_properties(${file} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
      endif()
    endif()
  endforeach()
endfunction()

# wattle_batches(TARGET [SIZE]): headers are most of a file's compile time, and a batch reads them once. Eight files of a library, or
# four of tests, take at most 1 GiB of memory, so that two compilers fit on a machine with 4 GiB.
function(wattle_batches target)
  set(size 8)
  if(ARGC GREATER 1)
    set(size ${ARGV1})
  endif()
  if(WATTLE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
  endif()
endfunction()

# Targets labelled `libtorch` or `release`.
add_custom_target(wattle_release_tests)

function(wattle_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;SINGLE;DEPS;TESTS;TEST_DEPS;LABELS" ${ARGN})
  set(target wattle_${ARG_NAME})
  if(ARG_SRCS)
    add_library(${target} STATIC ${ARG_SRCS} ${ARG_SINGLE})
    target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} PUBLIC ${ARG_DEPS} PRIVATE wattle_warnings)
    wattle_single_fault_points(${ARG_SRCS})
    if(ARG_SINGLE)
      set_source_files_properties(${ARG_SINGLE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
    wattle_batches(${target})
    if(WATTLE_TESTS)
      add_executable(${target}_link ${PROJECT_SOURCE_DIR}/cmake/link_main.cc)
      target_link_libraries(${target}_link PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${target}> ${ARG_DEPS})
      if(WATTLE_WITH_LIBTORCH)
        add_dependencies(wattle_release_tests ${target}_link)
      endif()
    endif()
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${target} INTERFACE ${ARG_DEPS})
  endif()
  add_library(wattle::${ARG_NAME} ALIAS ${target})
  if(ARG_TESTS AND WATTLE_TESTS)
    wattle_test(NAME ${ARG_NAME}_test SRCS ${ARG_TESTS} DEPS wattle::${ARG_NAME} ${ARG_TEST_DEPS} LABELS ${ARG_LABELS})
  endif()
endfunction()

# wattle_test(NAME core_simulation SRCS … DEPS … LABELS simulation): a GoogleTest program. The program is one ctest, because a start of libtorch
# takes most of a second. Each of its tests is also a ctest, labelled `single`, which only `./dev test --only` runs.
# Tests built with WATTLE_WITH_LIBTORCH set are labelled `libtorch`: they cannot run under ASan and UBSan, so `./dev test` builds and
# runs them in the release tree, and everything else in the ASan tree. Tests labelled `release` by the caller also run there: they search for
# faults of logic in many worlds or long runs, and their code also runs under the sanitizers in tests of fewer worlds and shorter runs.
function(wattle_test)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS;LABELS" ${ARGN})
  if(WATTLE_SANITIZE AND "release" IN_LIST ARG_LABELS)
    return()
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  # One label, "unit:engine": the discovery cannot carry a list. `ctest -L unit`, `ctest -L ':engine$'`.
  string(REGEX REPLACE "_test$" "" folder ${ARG_NAME})
  if(WATTLE_WITH_LIBTORCH)
    list(APPEND ARG_LABELS libtorch)
  endif()
  list(JOIN ARG_LABELS ":" labels)
  add_executable(wattle_${ARG_NAME} ${ARG_SRCS})
  if(WATTLE_WITH_LIBTORCH OR "release" IN_LIST ARG_LABELS)
    add_dependencies(wattle_release_tests wattle_${ARG_NAME})
  endif()
  wattle_batches(wattle_${ARG_NAME} 4)
  # The compiler spends most of its time on the sanitizers' checks: -O0 halves the time to compile a test, and without UBSan in a test's own
  # code the rest takes 0.6 of the time. The libraries under test keep both. Worlds of the simulation run for minutes, so their programs
  # stay optimized.
  if(WATTLE_SANITIZE AND NOT "simulation" IN_LIST ARG_LABELS)
    target_compile_options(wattle_${ARG_NAME} PRIVATE -O0 -fno-sanitize=undefined)
  endif()
  target_include_directories(wattle_${ARG_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(wattle_${ARG_NAME} PRIVATE WATTLE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                                        WATTLE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  target_link_libraries(wattle_${ARG_NAME} PRIVATE ${ARG_DEPS} wattle_warnings GTest::gmock GTest::gtest_main)
  if("simulation" IN_LIST ARG_LABELS)  # minutes each, so each core runs one
    gtest_discover_tests(wattle_${ARG_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 PROPERTIES LABELS "${labels}:${folder}" TIMEOUT 1500 PROCESSORS 2)
    return()
  endif()
  add_test(NAME ${ARG_NAME} COMMAND wattle_${ARG_NAME})
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${labels}:${folder}" TIMEOUT 1800 PROCESSORS 2)
  if(WATTLE_WITH_LIBTORCH)  # minutes in one program: started first, so that no core waits for it at the end
    set_tests_properties(${ARG_NAME} PROPERTIES COST 4)
  endif()
  gtest_discover_tests(wattle_${ARG_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 PROPERTIES LABELS "single:${labels}:${folder}" TIMEOUT 600 PROCESSORS 2)
endfunction()

# wattle_program(NAME wattle SRCS main.cc DEPS …): an executable in bin/. In a tree with sanitizers no test runs the program, so its own files
# are compiled without them, only to check that they compile.
function(wattle_program)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_include_directories(${ARG_NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${ARG_NAME} PRIVATE WATTLE_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${ARG_NAME} PRIVATE ${ARG_DEPS} wattle_warnings wattle_monotonic_waits ${CMAKE_DL_LIBS})
  if(WATTLE_SANITIZE)
    target_compile_options(${ARG_NAME} PRIVATE -O0 -fno-sanitize=all)
  endif()
  # Not for a link test, which would then miss the dependencies of functions without a caller.
  target_link_options(${ARG_NAME} PRIVATE LINKER:--gc-sections)
endfunction()
