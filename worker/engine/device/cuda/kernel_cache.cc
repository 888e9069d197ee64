// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/kernel_cache.h"

#include "absl/strings/str_cat.h"

#include "artifacts/sha256.h"
#include "base/durable_file.h"
#include "base/file.h"

namespace wattle::cuda {
namespace {

constexpr size_t kHashDigits = 2 * artifacts::kSha256Bytes;
constexpr int64_t kMostBytes = int64_t{64} << 20;  // our modules are smaller than 1 MiB

absl::Status Write(const std::string& path, absl::string_view binary) {
  absl::StatusOr<DurableFile> file = DurableFile::Create(path);
  if (!file.ok()) {
    return file.status();
  }
  absl::Status status = file->Append(absl::StrCat(artifacts::Sha256Hex(binary), "\n"));
  status.Update(file->Append(binary));
  return status.ok() ? file->Commit() : status;
}

}  // namespace

std::string KernelCache::PathOf(absl::Span<const std::string> of) const {
  artifacts::Sha256Stream name;
  for (const std::string& part : of) {
    name.Update(absl::StrCat(part.size(), ":"));
    name.Update(part);
  }
  return absl::StrCat(directory_, "/", name.FinishHex(), ".kernel");
}

std::optional<std::string> KernelCache::Find(absl::Span<const std::string> of) const {
  if (directory_.empty()) {
    return std::nullopt;
  }
  absl::StatusOr<std::string> file = ReadWholeFile(PathOf(of), kMostBytes);
  if (!file.ok() || file->size() <= kHashDigits || (*file)[kHashDigits] != '\n') {
    return std::nullopt;
  }
  std::string binary = file->substr(kHashDigits + 1);
  return artifacts::Sha256Hex(binary) == file->substr(0, kHashDigits)
             ? std::optional(std::move(binary))
             : std::nullopt;
}

absl::Status KernelCache::Keep(absl::Span<const std::string> of, absl::string_view binary) const {
  return keeps_nothing() ? absl::OkStatus() : Write(PathOf(of), binary);
}

}  // namespace wattle::cuda
