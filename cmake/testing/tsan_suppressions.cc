// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Suppressions for libraries that are not instrumented. cmake/testing/tsan_abseil.cc and
// cmake/testing/tsan_grpc.cc report the order that these libraries enforce.
//
// - A `race:` line for gRPC's libraries would hide every race of a service: gRPC's threads run the
//   services, so its frames are in each of their stacks.
// - gRPC's headers keep the state of an operation and its callback; the library hands both to the
//   next thread. These lines therefore name gRPC's own code at the top of a stack: a line for a
//   function that calls Wattle's code, such as CallOnDone, would hide races of that code.
// - gRPC calls OnCancel of a service's stream in the library and counts there that the call has
//   returned; OnDone, which deletes the stream, waits for that count.
// - AuthMetadataProcessorAyncWrapper drops its reference to Wattle's processor of calls; the
//   sanitizer does not see the library's reference count.
// - spdlog makes its registry behind a guard in its own library.

// The sanitizer calls the function below, because a sandboxed program cannot read a file of
// suppressions.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return R"(
called_from_lib:libgrpc.so
called_from_lib:libgrpc++.so
called_from_lib:libgpr.so
called_from_lib:libupb.so
called_from_lib:libssl.so
called_from_lib:libcrypto.so
called_from_lib:libabsl_graphcycles_internal.so
called_from_lib:libabsl_status.so
called_from_lib:libabsl_cord.so
called_from_lib:libabsl_time_zone.so
race:libprotobuf
race:libabsl
mutex:libgrpc
deadlock:libgrpc
race:^grpc::internal::InterceptorBatchMethodsImpl::
race:^grpc::internal::CallbackWithSuccessTag::Clear
race:~ServerCallbackReaderWriterImpl
race_top:^grpc::
race_top:^std::function<void (bool)>::operator()
race_top:^std::_Function_base::_M_empty
race:^wattle::rpc::*::OnCancel
race:^grpc::AuthMetadataProcessorAyncWrapper::Destroy
race:^spdlog::details::registry::registry
)";
}
