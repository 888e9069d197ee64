# The slow lanes of `./dev test --all`, sourced by ./dev: it uses its functions and counts into its totals.
# shellcheck shell=bash

step "slow lane: what has no libtorch, as it is built for release"
build build/release
run_ctest build/release -LE 'single|slow|libtorch|integration|numerics|release'

step "slow lane: a kill at every place at which a runner or an agent can be killed"
export WATTLE_FAULT_PLACES=all
run_ctest build/release -R 'resumes_bit_for_bit$'
unset WATTLE_FAULT_PLACES

# As on processors with fewer instruction sets: our kernels, libtorch and OpenBLAS are limited. oneDNN examines the processor itself;
# test_two_byte_sums.cc finds what depends on that. A runner leaves OPENBLAS_CORETYPE out.
for level in 'portable default Prescott' 'avx2 avx2 Haswell' 'avx512-vnni avx512 SkylakeX'; do
  read -r kernels libtorch openblas <<<"$level"
  if ! WATTLE_INSTRUCTION_SET=$kernels build/release/bin/wattle-runner --check-device cpu >build/instruction-set.log 2>&1; then
    say "skipped by name: instruction set $kernels, see build/instruction-set.log"
    continue
  fi
  step "slow lane: the engine and the demo at the instruction set $kernels"
  export WATTLE_INSTRUCTION_SET=$kernels ATEN_CPU_CAPABILITY=$libtorch OPENBLAS_CORETYPE=$openblas
  run_ctest build/release -L '(^|:)(libtorch|numerics)(:|$)' -LE 'single|slow'
  check "demo-$kernels" python3 deploy/demo/run.py
  unset WATTLE_INSTRUCTION_SET ATEN_CPU_CAPABILITY OPENBLAS_CORETYPE
done

step "slow lane: the two releases before, beside this one"
own=$(sed -n 's/^project(wattle VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
for version in $({ awk '!/^#/ { print $1 }' deploy/releases.txt; echo "$own"; } | sort -Vu | grep -B2 -Fx "$own" | head -n -1); do
  release_fixture "$version"
done
run_ctest build/release -R '[.]skew_test[.]'

step "slow lane: an hour at work, and kills beside sick links and disks"
check soak ./dev soak
check chaos ./dev chaos

step "slow lane: 2,000 simulated worlds"
build build/release wattle-simulate
check simulation build/release/bin/wattle-simulate --seeds 2000 --first "$((20260 + 2000 * (RANDOM % 1000)))"

step "slow lane: bugs that are put into a copy of the tree"
check planted-bugs tests/planted_bugs.py

step "slow lane: the engine under AddressSanitizer and UndefinedBehaviorSanitizer"
# libtorch itself is not instrumented: containers that cross its border would be reported wrongly, and its caches as leaks.
export ASAN_OPTIONS=detect_container_overflow=0:detect_leaks=0
configure build/asan-engine -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1' -DWATTLE_SANITIZE=address,undefined
build build/asan-engine wattle_engine_test wattle_engine_jobs_test wattle_runner_test
run_ctest build/asan-engine -L ':(engine|engine_jobs|runner)$' -LE 'single|slow|integration'
unset ASAN_OPTIONS

step "slow lane: threads under ThreadSanitizer (what has no libtorch; what gRPC orders: cmake/testing/tsan_grpc.cc)"
configure build/tsan -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1' -DWATTLE_ENGINE=OFF -DWATTLE_SANITIZE=thread
build build/tsan
run_ctest build/tsan -LE 'single|slow|integration'

step "slow lane: libtorch 2.7.1 (compile, the engine's tests, and those of the guarded device and of the GPU's exam)"
configure_torch2
build build/torch2-build wattle-runner wattle_{engine,engine_jobs,device,pass_arena,precision,mezo}_test wattle-gpu-exam
run_ctest build/torch2-build -L ':(engine|engine_jobs|device|pass_arena|precision|mezo)$|:gpu_exam:' -LE 'single|integration'

step "slow lane: file by file, with the same tests: a batch may choose another file's overload without a word"
configure build/files "${release[@]}" -DWATTLE_UNITY=OFF
build build/files
run_ctest build/files -LE 'single|slow|integration'

step "slow lane: each reader a minute under clang's libFuzzer"
check fuzz ./dev fuzz --seconds 60

step "slow lane: the CUDA kernels, compiled for the boards' GPUs"
check cuda-kernels build/venv-nvrtc/bin/python tests/cuda_kernels.py

step "slow lane: the programs for arm64 under qemu: the kernels' tests, and the demo's jobs"
check arm64 ./dev arm64 --demo

step "slow lane: the cycles of the boards' kernels"
check bench-arm ./dev bench arm

step "slow lane: clang-tidy"
need_clang_tidy
check tidy tests/tidy.py
