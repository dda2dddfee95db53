# Turns runtime.py into a C++ source: cmake -DINPUT=… -DOUTPUT=… -P embed.cmake
file(READ ${INPUT} TEXT)
file(WRITE ${OUTPUT} "#include \"zygote/runtime_source.h\"\n\nnamespace sock::zygote {\n\n"
  "extern const char kRuntimeSource[] = R\"RUNTIME(${TEXT})RUNTIME\";\n\n}  // namespace sock::zygote\n")
