// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/manifest.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/status_macros.h"

namespace wattle::artifacts {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kHeader = "wattle-manifest 1\n";
constexpr size_t kPathBytesMax = 1024;

int64_t ChunkCount(int64_t size_bytes) {
  return (size_bytes + kChunkSizeBytes - 1) / kChunkSizeBytes;
}

absl::Status InvalidPath(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("manifest path \"", absl::CHexEscape(path), "\": ", why));
}

bool IsLowerHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// Takes the text up to `end` off the front of `rest`; false if there is none.
bool TakeUntil(char end, absl::string_view& rest, absl::string_view& taken) {
  const size_t at = rest.find(end);
  if (at == absl::string_view::npos) {
    return false;
  }
  taken = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return true;
}

bool ParseFile(absl::string_view& rest, v1::ManifestFile& file) {
  absl::string_view word, size, length;
  if (!TakeUntil(' ', rest, word) || word != "file" || !TakeUntil(' ', rest, size) ||
      !TakeUntil(' ', rest, length)) {
    return false;
  }
  int64_t size_bytes = 0;
  uint32_t path_bytes = 0;
  if (!absl::SimpleAtoi(size, &size_bytes) || !absl::SimpleAtoi(length, &path_bytes) ||
      size_bytes < 0 || ChunkCount(size_bytes) > kChunksMax || rest.size() <= path_bytes ||
      rest[path_bytes] != '\n') {
    return false;
  }
  file.set_path(std::string(rest.substr(0, path_bytes)));
  file.set_size_bytes(size_bytes);
  rest.remove_prefix(path_bytes + 1);
  for (int64_t i = 0; i < ChunkCount(size_bytes); ++i) {
    absl::string_view hex;
    if (!TakeUntil('\n', rest, hex) || !IsArtifactId(hex)) {
      return false;
    }
    file.add_chunk_sha256(absl::HexStringToBytes(hex));
  }
  return true;
}

absl::StatusOr<v1::ManifestFile> DescribeFile(const fs::path& source, const std::string& path,
                                              const std::function<bool()>& cancelled) {
  WATTLE_RETURN_IF_ERROR(ValidatePath(path));
  std::ifstream in(source, std::ios::binary);
  if (!in) {
    return absl::PermissionDeniedError(
        absl::StrCat(source.string(), ": cannot be read; check its permissions"));
  }
  v1::ManifestFile file;
  file.set_path(path);
  std::string chunk(static_cast<size_t>(kChunkSizeBytes), '\0');
  int64_t size_bytes = 0;
  while (in) {
    if (cancelled && cancelled()) {
      return absl::CancelledError(absl::StrCat(source.string(), ": hashing was cancelled"));
    }
    in.read(chunk.data(), kChunkSizeBytes);
    const auto got = in.gcount();
    if (got > 0) {
      file.add_chunk_sha256(
          Sha256(absl::string_view(chunk.data(), static_cast<size_t>(got))).value());
      size_bytes += got;
    }
  }
  if (in.bad()) {
    return absl::InternalError(absl::StrCat(source.string(), ": reading stopped at byte ",
                                            size_bytes, "; check the disk"));
  }
  file.set_size_bytes(size_bytes);
  return file;
}

// Relative paths of the regular files under `directory`, hidden ones left out, sorted bytewise.
absl::StatusOr<std::vector<std::string>> FilesUnder(const fs::path& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  auto it = fs::recursive_directory_iterator(directory, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const bool hidden = it->path().filename().string().front() == '.';
    if (hidden && it->is_directory(error)) {
      it.disable_recursion_pending();
    }
    if (!hidden && it->is_regular_file(error)) {
      paths.push_back(it->path().lexically_relative(directory).generic_string());
    }
  }
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat(directory.string(), ": cannot be listed: ", error.message()));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::Status ValidateFile(const v1::ManifestFile& file) {
  WATTLE_RETURN_IF_ERROR(ValidatePath(file.path()));
  if (file.size_bytes() < 0 || ChunkCount(file.size_bytes()) != file.chunk_sha256_size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "manifest file \"", file.path(), "\": ", file.chunk_sha256_size(), " chunks for ",
        file.size_bytes(), " bytes, wanted one for each ", kChunkSizeBytes, " bytes"));
  }
  for (const std::string& digest : file.chunk_sha256()) {
    if (digest.size() != kSha256Bytes) {
      return absl::InvalidArgumentError(absl::StrCat("manifest file \"", file.path(),
                                                     "\": a chunk_sha256 has ", digest.size(),
                                                     " bytes, wanted 32"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsArtifactId(absl::string_view text) {
  return text.size() == 2 * kSha256Bytes && std::all_of(text.begin(), text.end(), IsLowerHexDigit);
}

absl::Status ValidatePath(absl::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax) {
    return InvalidPath(path.substr(0, 80), "wanted 1 to 1024 bytes");
  }
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
      return InvalidPath(path, "control characters and backslashes are not allowed");
    }
  }
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return InvalidPath(path, "wanted a relative path without empty, \".\" or \"..\" parts");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateManifest(const v1::Manifest& manifest) {
  if (manifest.files_size() < 1 || manifest.files_size() > kFilesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest lists ", manifest.files_size(), " files, wanted 1 to ", kFilesMax));
  }
  std::set<absl::string_view> directories;
  int64_t chunks = 0;
  for (const v1::ManifestFile& file : manifest.files()) {
    WATTLE_RETURN_IF_ERROR(ValidateFile(file));
    chunks += file.chunk_sha256_size();
    const absl::string_view path = file.path();
    for (size_t at = path.find('/'); at != absl::string_view::npos; at = path.find('/', at + 1)) {
      // Collected to find a path that is both a file and a directory, which no file system can
      // hold.
      directories.insert(path.substr(0, at));
    }
  }
  if (chunks > kChunksMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest lists ", chunks, " chunks, at most ", kChunksMax,
                     " are allowed; push the files as several artifacts"));
  }
  for (int i = 0; i < manifest.files_size(); ++i) {
    const std::string& path = manifest.files(i).path();
    if (i > 0 && manifest.files(i - 1).path() >= path) {
      return InvalidPath(path, "wanted each path once, sorted");
    }
    if (directories.contains(path)) {
      return InvalidPath(path, "is both a file and a directory");
    }
  }
  return absl::OkStatus();
}

std::string CanonicalForm(const v1::Manifest& manifest) {
  std::string form(kHeader);
  for (const v1::ManifestFile& file : manifest.files()) {
    absl::StrAppend(&form, "file ", file.size_bytes(), " ", file.path().size(), " ", file.path(),
                    "\n");
    for (const std::string& digest : file.chunk_sha256()) {
      absl::StrAppend(&form, absl::BytesToHexString(digest), "\n");
    }
  }
  return form;
}

ArtifactId IdOf(const v1::Manifest& manifest) {
  return ArtifactId(Sha256Hex(CanonicalForm(manifest)));
}

absl::StatusOr<v1::Manifest> ParseCanonicalForm(absl::string_view bytes) {
  if (bytes.substr(0, kHeader.size()) != kHeader) {
    return absl::DataLossError("manifest does not begin with \"wattle-manifest 1\"");
  }
  absl::string_view rest = bytes.substr(kHeader.size());
  v1::Manifest manifest;
  while (!rest.empty()) {
    if (!ParseFile(rest, *manifest.add_files())) {
      return absl::DataLossError(
          absl::StrCat("manifest is broken at its file ", manifest.files_size()));
    }
  }
  const absl::Status valid = ValidateManifest(manifest);
  if (!valid.ok()) {
    return absl::DataLossError(valid.message());
  }
  // Different texts of one manifest, such as leading zeros, would have different ids.
  if (CanonicalForm(manifest) != bytes) {
    return absl::DataLossError("manifest has numbers in another form than that of its id");
  }
  return manifest;
}

int64_t SizeBytes(const v1::Manifest& manifest) {
  int64_t size_bytes = 0;
  for (const v1::ManifestFile& file : manifest.files()) {
    size_bytes += file.size_bytes();
  }
  return size_bytes;
}

int64_t ChunkSizeBytes(const v1::ManifestFile& file, int index) {
  return std::min(kChunkSizeBytes, file.size_bytes() - index * kChunkSizeBytes);
}

absl::StatusOr<v1::Manifest> BuildManifest(const std::string& path,
                                           const std::function<bool()>& cancelled) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file or directory"));
  }
  v1::Manifest manifest;
  if (fs::is_regular_file(status)) {
    WATTLE_ASSIGN_OR_RETURN(*manifest.add_files(),
                            DescribeFile(path, fs::path(path).filename().string(), cancelled));
    return manifest;
  }
  if (!fs::is_directory(status)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": wanted a file or a directory"));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesUnder(path));
  if (files.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the directory has no files"));
  }
  for (const std::string& file : files) {
    WATTLE_ASSIGN_OR_RETURN(*manifest.add_files(),
                            DescribeFile(fs::path(path) / file, file, cancelled));
  }
  WATTLE_RETURN_IF_ERROR(ValidateManifest(manifest));
  return manifest;
}

std::string SourcePath(const std::string& path, const v1::ManifestFile& file) {
  std::error_code error;
  return fs::is_directory(path, error) ? (fs::path(path) / file.path()).string() : path;
}

}  // namespace wattle::artifacts
