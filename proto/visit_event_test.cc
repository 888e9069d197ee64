// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/visit_event.h"

#include <string>

#include "gtest/gtest.h"

namespace wattle {
namespace {

struct NameOfFact {
  std::string operator()(const google::protobuf::Message& fact) const {
    return fact.GetDescriptor()->name();
  }
  std::string operator()(std::monostate /*fact*/) const { return ""; }
};

TEST(VisitEventTest, EachKindIsVisitedByItsType) {
  const auto* const kinds = v1::Event::descriptor()->FindOneofByName("event");
  for (int i = 0; i < kinds->field_count(); ++i) {
    v1::Event event;
    event.GetReflection()->MutableMessage(&event, kinds->field(i));
    EXPECT_EQ(VisitEvent(event, NameOfFact()), kinds->field(i)->message_type()->name());
  }
  EXPECT_EQ(VisitEvent(v1::Event(), NameOfFact()), "");
}

}  // namespace
}  // namespace wattle
