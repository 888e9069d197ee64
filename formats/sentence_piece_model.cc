// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"

#include "formats/sentence_piece_internal.h"

namespace wattle::formats {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

// Field numbers of ModelProto, of its pieces, of TrainerSpec and of NormalizerSpec.
enum ModelField { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };
enum PieceField { kText = 1, kScore = 2, kType = 3 };
enum TrainerField { kModelType = 3, kSpaceIsSuffix = 24, kByteFallback = 35, kBeginId = 41 };
enum NormalizerField {
  kCharacterMap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
  kEscapeWhitespaces = 5
};

// Calls take(field number, wire type, stream) for each field of a message. take reads the field and
// returns true, returns false if the bytes are wrong, or returns nullopt for an unknown field,
// which is then skipped. Returns false if the message is damaged.
template <typename Take>
bool ForEachField(CodedInputStream& stream, Take take) {
  while (true) {
    const uint32_t tag = stream.ReadTag();
    if (tag == 0) {
      return stream.ConsumedEntireMessage();
    }
    const std::optional<bool> taken =
        take(WireFormatLite::GetTagFieldNumber(tag), WireFormatLite::GetTagWireType(tag), stream);
    if (taken.has_value() ? !*taken : !WireFormatLite::SkipField(&stream, tag)) {
      return false;
    }
  }
}

bool ReadText(CodedInputStream& stream, std::string& text) {
  uint32_t size = 0;
  return stream.ReadVarint32(&size) && stream.ReadString(&text, static_cast<int>(size));
}

bool ReadFlag(CodedInputStream& stream, bool& flag) {
  uint64_t value = 0;
  const bool read = stream.ReadVarint64(&value);
  flag = value != 0;
  return read;
}

// Reads a message nested at the stream's position.
template <typename Take>
bool ReadInner(CodedInputStream& stream, Take take) {
  uint32_t size = 0;
  if (!stream.ReadVarint32(&size) || static_cast<int>(size) < 0 ||
      static_cast<int>(size) > stream.BytesUntilLimit()) {
    return false;
  }
  const CodedInputStream::Limit limit = stream.PushLimit(static_cast<int>(size));
  const bool read = ForEachField(stream, take);
  stream.PopLimit(limit);
  return read;
}

using WireType = WireFormatLite::WireType;

std::optional<bool> TakePieceField(int field, WireType type, CodedInputStream& stream,
                                   SentencePiece& piece) {
  if (field == kText && type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
    return ReadText(stream, piece.text);
  }
  if (field == kScore && type == WireFormatLite::WIRETYPE_FIXED32) {
    uint32_t bits = 0;
    const bool read = stream.ReadLittleEndian32(&bits);
    piece.score = std::bit_cast<float>(bits);
    return read;
  }
  if (field == kType && type == WireFormatLite::WIRETYPE_VARINT) {
    return stream.ReadVarint64(&piece.type);
  }
  return std::nullopt;
}

std::optional<bool> TakeTrainerField(int field, WireType type, CodedInputStream& stream,
                                     SentencePieceModel& model) {
  if (type != WireFormatLite::WIRETYPE_VARINT) {
    return std::nullopt;
  }
  switch (field) {
    case kModelType:
      return stream.ReadVarint64(&model.model_type);
    case kSpaceIsSuffix:
      return ReadFlag(stream, model.space_is_suffix);
    case kByteFallback:
      return ReadFlag(stream, model.byte_fallback);
    case kBeginId:
      return stream.ReadVarint64(&model.begin_id);
    default:
      return std::nullopt;
  }
}

std::optional<bool> TakeNormalizerField(int field, WireType type, CodedInputStream& stream,
                                        SentencePieceModel& model) {
  if (field == kCharacterMap && type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
    return ReadText(stream, model.character_map);
  }
  if (type != WireFormatLite::WIRETYPE_VARINT) {
    return std::nullopt;
  }
  switch (field) {
    case kAddDummyPrefix:
      return ReadFlag(stream, model.add_dummy_prefix);
    case kRemoveExtraWhitespaces:
      return ReadFlag(stream, model.remove_extra_whitespaces);
    case kEscapeWhitespaces:
      return ReadFlag(stream, model.escape_whitespaces);
    default:
      return std::nullopt;
  }
}

void WriteTag(CodedOutputStream& stream, int field, WireType type) {
  stream.WriteTag(WireFormatLite::MakeTag(field, type));
}

void WriteText(CodedOutputStream& stream, int field, const std::string& text) {
  WriteTag(stream, field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  stream.WriteVarint64(text.size());
  stream.WriteString(text);
}

void WriteNumber(CodedOutputStream& stream, int field, uint64_t number) {
  WriteTag(stream, field, WireFormatLite::WIRETYPE_VARINT);
  stream.WriteVarint64(number);
}

// The bytes of a message whose fields are written by `write`.
template <typename Write>
std::string Message(Write write) {
  std::string bytes;
  StringOutputStream sink(&bytes);
  CodedOutputStream stream(&sink);
  write(stream);
  stream.Trim();
  return bytes;
}

}  // namespace

absl::StatusOr<SentencePieceModel> ReadSentencePieceModel(absl::string_view bytes,
                                                          absl::string_view file) {
  SentencePieceModel model;
  CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                          static_cast<int>(bytes.size()));
  const CodedInputStream::Limit limit = stream.PushLimit(static_cast<int>(bytes.size()));
  const bool read = ForEachField(
      stream, [&](int field, WireType type, CodedInputStream& inner) -> std::optional<bool> {
        if (type != WireFormatLite::WIRETYPE_LENGTH_DELIMITED || field > kNormalizerSpec) {
          return std::nullopt;
        }
        if (field == kPieces) {
          SentencePiece& piece = model.pieces.emplace_back();
          return ReadInner(inner, [&](int f, WireType t, CodedInputStream& s) {
            return TakePieceField(f, t, s, piece);
          });
        }
        return ReadInner(inner, [&](int f, WireType t, CodedInputStream& s) {
          return field == kTrainerSpec ? TakeTrainerField(f, t, s, model)
                                       : TakeNormalizerField(f, t, s, model);
        });
      });
  const int position = stream.CurrentPosition();
  stream.PopLimit(limit);
  if (!read || model.pieces.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": ", read ? "has no pieces" : absl::StrCat("damaged at byte ", position),
        "; is this a SentencePiece model? Fetch or copy the file again"));
  }
  return model;
}

std::string FormatSentencePieceModel(const SentencePieceModel& model) {
  return Message([&](CodedOutputStream& out) {
    for (const SentencePiece& piece : model.pieces) {
      WriteText(out, kPieces, Message([&](CodedOutputStream& inner) {
                  WriteText(inner, kText, piece.text);
                  WriteTag(inner, kScore, WireFormatLite::WIRETYPE_FIXED32);
                  inner.WriteLittleEndian32(std::bit_cast<uint32_t>(piece.score));
                  WriteNumber(inner, kType, piece.type);
                }));
    }
    WriteText(out, kTrainerSpec, Message([&](CodedOutputStream& inner) {
                WriteNumber(inner, kModelType, kSentencePieceBpe);
                WriteNumber(inner, kByteFallback, 1);
                WriteNumber(inner, kBeginId, model.begin_id);
              }));
    WriteText(out, kNormalizerSpec, Message([&](CodedOutputStream& inner) {
                WriteNumber(inner, kAddDummyPrefix, model.add_dummy_prefix ? 1 : 0);
                WriteNumber(inner, kRemoveExtraWhitespaces, 0);
                WriteNumber(inner, kEscapeWhitespaces, 1);
              }));
  });
}

}  // namespace wattle::formats
