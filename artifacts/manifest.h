// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The manifest of an artifact: its files, their sizes, and the SHA-256 of each 1 MiB chunk. The
// artifact's id is the SHA-256 of the manifest's canonical form, which is a byte form of our own
// and not protobuf's serialization (that one is not canonical):
//
//   wattle-manifest 1\n
//   file <size_bytes> <path length in bytes> <path>\n      for each file, sorted by path (bytewise)
//   <64 hex digits>\n                                      for each of its chunks, in order
//
// A manifest from outside must pass ValidateManifest before any other use, so that a path never
// leads out of its directory. Functions are thread-safe.
#ifndef WATTLE_ARTIFACTS_MANIFEST_H_
#define WATTLE_ARTIFACTS_MANIFEST_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "artifacts/sha256.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::artifacts {

inline constexpr int64_t kChunkSizeBytes = int64_t{1} << 20;
// A manifest travels in one gRPC message of at most 4 MiB, so it lists at most this many files and
// chunks.
inline constexpr int64_t kFilesMax = 10'000;
inline constexpr int64_t kChunksMax = 100'000;  // 100 GB.

// Relative, '/' between parts, no empty, "." or ".." part, no NUL, control or backslash, at most
// 1,024 bytes. kInvalidArgument names the path and what is wrong with it.
absl::Status ValidatePath(absl::string_view path);

// Checks that paths are valid, sorted and unique, and none is both a file and a directory; that
// every file has the number of chunks for its size, each of 32 bytes. kInvalidArgument otherwise.
// An artifact has at least one file.
absl::Status ValidateManifest(const v1::Manifest& manifest);

// The byte form above. The manifest must be valid.
std::string CanonicalForm(const v1::Manifest& manifest);
ArtifactId IdOf(const v1::Manifest& manifest);
// Reads the byte form back; kDataLoss with the line for anything else. The result is valid.
absl::StatusOr<v1::Manifest> ParseCanonicalForm(absl::string_view bytes);

int64_t SizeBytes(const v1::Manifest& manifest);
// Bytes of a file's chunk `index`.
int64_t ChunkSizeBytes(const v1::ManifestFile& file, int index);

// Manifest of a file (one entry, by its base name) or of a directory's regular files, recursively.
// Symbolic links to files are followed; links to directories, sockets, devices and hidden files
// (name begins with '.') are left out. Errors: kNotFound, kInvalidArgument (empty directory, a path
// that ValidatePath refuses), kPermissionDenied.
// cancelled: asked before each chunk, true ends with kCancelled; may be empty.
absl::StatusOr<v1::Manifest> BuildManifest(const std::string& path,
                                           const std::function<bool()>& cancelled = {});

// The file on disk that a manifest's entry was made from: `path` itself if it is a file.
std::string SourcePath(const std::string& path, const v1::ManifestFile& file);

// Whether `text` is 64 lower-case hex digits.
bool IsArtifactId(absl::string_view text);

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_MANIFEST_H_
