# Turns Python scripts into a C++ source: cmake "-DINPUTS=A.py;B.py" -DOUTPUT=… -P embed.cmake
set(SCRIPTS "")
foreach(INPUT IN LISTS INPUTS)
  get_filename_component(NAME ${INPUT} NAME_WE)
  file(READ ${INPUT} TEXT)
  string(APPEND SCRIPTS "    {\"${NAME}\", R\"SCRIPT(${TEXT})SCRIPT\"},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"manager/jobs/job_scripts.h\"

#include <array>

namespace sock::manager {

std::span<const JobScript> job_scripts() {
  static constexpr auto kScripts = std::to_array<JobScript>({
${SCRIPTS}  });
  return kScripts;
}

}  // namespace sock::manager
")
