// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Walks spec.proto: each number of a spec has bounds.
#include "proto/spec_bounds.h"

#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "gtest/gtest.h"

#include "wattle/v1/quantization.pb.h"

namespace wattle {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using testing::StartsWith;

using Path = std::vector<const FieldDescriptor*>;

// The largest number that the field can hold, or no number.
void SetLargest(Message& message, const FieldDescriptor* field) {
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      message.GetReflection()->SetInt32(&message, field, std::numeric_limits<int32_t>::max());
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      message.GetReflection()->SetInt64(&message, field, std::numeric_limits<int64_t>::max());
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      message.GetReflection()->SetDouble(&message, field, std::numeric_limits<double>::quiet_NaN());
      return;
    default:
      ADD_FAILURE() << field->full_name() << " is a number of a type without a case here";
  }
}

v1::JobSpec WithLargest(const Path& path) {
  v1::JobSpec spec;
  Message* message = &spec;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    message = message->GetReflection()->MutableMessage(message, path[i]);
    if (auto* shape = google::protobuf::DynamicCastToGenerated<v1::DataShape>(message)) {
      shape->set_examples(1);
    }
  }
  SetLargest(*message, path.back());
  return spec;
}

bool IsNumber(const FieldDescriptor* field) {
  return !field->is_repeated() && field->name() != "seed" &&
         field->cpp_type() != FieldDescriptor::CPPTYPE_BOOL &&
         field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM &&
         field->cpp_type() != FieldDescriptor::CPPTYPE_STRING;
}

int ExpectBounds(const Descriptor* type, const Path& before, const std::string& prefix) {
  int numbers = 0;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (!IsNumber(field)) {
      continue;
    }
    Path path = before;
    path.push_back(field);
    const std::string name = prefix + field->name();
    if (field->message_type() == nullptr) {
      ++numbers;
      EXPECT_THAT(std::string(CheckSpecBounds(WithLargest(path)).message()),
                  StartsWith(name + ": "));
    } else if (field->message_type() != v1::ModelShape::descriptor() &&
               field->message_type() != v1::QuantizationRecipe::descriptor()) {
      numbers += ExpectBounds(field->message_type(), path, name + ".");
    }
  }
  return numbers;
}

TEST(SpecBoundsTest, EachNumberOfASpecHasBounds) {
  EXPECT_GT(ExpectBounds(v1::JobSpec::descriptor(), {}, ""), 40);
}

// A row with a wrong path would refuse every spec with that section.
TEST(SpecBoundsTest, EachBoundIsOfANumber) {
  const auto* kinds = v1::JobSpec::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kinds->field_count(); ++i) {
    v1::JobSpec spec;
    spec.mutable_quality_floor();
    Message* section = spec.GetReflection()->MutableMessage(&spec, kinds->field(i));
    for (int j = 0; j < section->GetDescriptor()->field_count(); ++j) {
      const FieldDescriptor* field = section->GetDescriptor()->field(j);
      if (field->message_type() != nullptr && !field->is_repeated()) {
        Message* inner = section->GetReflection()->MutableMessage(section, field);
        if (auto* shape = google::protobuf::DynamicCastToGenerated<v1::DataShape>(inner)) {
          shape->set_examples(1);
        }
      }
    }
    EXPECT_EQ(CheckSpecBounds(spec).message(), "");
  }
}

TEST(SpecBoundsTest, BoundsAreInclusiveAndWrittenAsPeopleWriteThem) {
  v1::JobSpec spec;
  EXPECT_EQ(CheckSpecBounds(spec).message(), "");
  spec.mutable_finetune()->set_batch_size(4096);
  EXPECT_EQ(CheckSpecBounds(spec).message(), "");
  spec.mutable_finetune()->set_batch_size(4097);
  EXPECT_EQ(CheckSpecBounds(spec).message(), "finetune.batch_size: 4097: want 0 to 4096");
  spec.mutable_evaluate()->mutable_data_shape();
  EXPECT_EQ(CheckSpecBounds(spec).message(),
            "evaluate.data_shape.examples: 0: want 1 to 1000000000000");
  spec.Clear();
  spec.set_deadline_seconds(1e9);
  EXPECT_EQ(CheckSpecBounds(spec).message(), "deadline_seconds: 1000000000: want 0 to 31622400");
  spec.set_deadline_seconds(0.5);
  spec.set_priority(-101);
  EXPECT_EQ(CheckSpecBounds(spec).message(), "priority: -101: want -100 to 100");
}

}  // namespace
}  // namespace wattle
