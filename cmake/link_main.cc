// The link test's program: it proves that a library's declared dependencies are complete. See
// wattle_library.cmake.
int main() {
  return 0;
}
