#!/usr/bin/env bash
# build_llama_bench.sh SOURCE OUT ARCHITECTURE [JOBS]: llama.cpp's llama-bench with CUDA 13.0 for one GPU architecture (90: H100, H200), in OUT.
# SOURCE is llama-cpp-python's, unpacked. NVIDIA's compiler is the nvcc on the PATH, otherwise PyPI's (about 530 MB, to build/cuda); no GPU or driver
# is needed. OUT has the program and its libraries, but not cuBLAS and CUDA's runtime: LD_LIBRARY_PATH must name OUT and the folders of PyTorch's.
#
# Only what ./dev gpu-exam calls is compiled: the kernels of GPT-2's and Llama's operators, of Q4_0, Q6_K and Q8_0 and of heads of 64, and of the
# command line nothing about chats. Other symbols stay open: what needs one ends with "symbol lookup error". All would take an hour of a core.
set -euo pipefail
source=$1 out=$2 architecture=$3 jobs=${4:-1}
work=build/llama-cuda

fetch_cuda() {  # fetch_cuda DIR
  local cuda=$1 glibc platforms=() wheel name
  local wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
    nvidia-cublas==13.1.0.3)
  [ "$(cat "$cuda/ready" 2>/dev/null)" != "${wheels[*]}" ] || return 0
  rm -rf "$cuda"
  mkdir -p "$cuda/download"
  for glibc in 28 27 17; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" --platform manylinux2014_x86_64 \
    -d "$cuda/download" "${wheels[@]}"
  for wheel in "$cuda"/download/*.whl; do unzip -q -o "$wheel" -d "$cuda"; done
  rm -rf "$cuda/download"
  ln -s lib "$cuda/nvidia/cu13/lib64"
  for name in cudart cublas cublasLt; do ln -s lib$name.so.13 "$cuda/nvidia/cu13/lib/lib$name.so"; done
  chmod +x "$cuda"/nvidia/cu13/bin/* "$cuda"/nvidia/cu13/nvvm/bin/*
  echo "${wheels[*]}" >"$cuda/ready"
}

if nvcc=$(command -v nvcc); then
  cuda=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
else
  fetch_cuda build/cuda
  cuda=$PWD/build/cuda/nvidia/cu13
fi

if [ "$(cat $work/ready 2>/dev/null)" != "$(cat "$source/ready")" ]; then
  rm -rf $work
  mkdir -p $work
  cp -r "$source/vendor/llama.cpp" $work/source
  kernels=$work/source/ggml/src/ggml-cuda
  kept='allreduce|binbcast|concat|convert|cpy|fattn|fwht|getrows|ggml-cuda|mm(f|id|q|vf|vq)|norm|quantize|rope|scale|set-rows|softmax|unary'
  kept+='|mmq-instance-(q4_0|q6_k|q8_0)|fattn-vec-instance-f16-f16|fattn-mma-f16-instance-ncols1_[0-9]+-ncols2_[18]'
  find $kernels -name '*.cu' | grep -vE "/($kept)\.cu$" | xargs rm
  sed -i '/^DECL_FATTN_MMA_F16_CASE/{/(64, 64,/!d}' $kernels/template-instances/fattn-mma-*.cu
  sed -i -E '/^    .*\.cpp$/{/^    (arg|common|fit|log)\.cpp$/!d}; /LLAMA_CHAT_PARSERS_SOURCES/d' $work/source/common/CMakeLists.txt
  cp "$source/ready" $work/ready
fi

# Wattle's processors for it: AVX2, as its own kernels ask for. No VMM: it would need the driver's library to link.
cmake -S $work/source -B $work/build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF \
  -DGGML_CUDA=ON -DGGML_CUDA_NO_VMM=ON -DGGML_CUDA_NCCL=OFF -DGGML_CUDA_FA_QUANTS=f16-f16 \
  -DCMAKE_CUDA_ARCHITECTURES="$architecture-real" -DCMAKE_CUDA_COMPILER="$cuda/bin/nvcc" -DCUDAToolkit_ROOT="$cuda" \
  -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_OPENSSL=OFF -DCMAKE_SKIP_RPATH=ON \
  -DCMAKE_SHARED_LINKER_FLAGS=-Wl,-z,lazy -DCMAKE_EXE_LINKER_FLAGS='-Wl,-z,lazy -Wl,--unresolved-symbols=ignore-in-shared-libs'
nice ninja -C $work/build -j"$jobs" llama-bench

rm -rf "$out"
mkdir -p "$out"
for file in $work/build/bin/llama-bench $work/build/bin/lib{*-impl.so,*.so.?}; do
  strip -o "$out/$(basename "$file")" "$file"
done
echo "llama-cpp-python $(cat "$source/ready")" >"$out/version"
