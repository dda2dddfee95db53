#include "pkgcache/preload.h"

namespace sock::pkgcache {

const PreloadTable& built_in_preload() {
  static const PreloadTable table = {
      // `import lxml` loads nothing; the parser is lxml.etree.
      {"lxml", {"lxml.etree"}},
      // Leaves out pylab and the namespace mpl_toolkits; pyplot is the handler's choice, since it
      // settles the backend.
      {"matplotlib", {"matplotlib"}},
      // Image.open imports codecs by name when it first needs them.
      {"pillow", {"PIL.Image", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"}},
      {"pip", {}},
      {"python-dateutil", {"dateutil.parser", "dateutil.relativedelta", "dateutil.tz"}},
      // pkg_resources records what is importable at the moment of its import.
      {"setuptools", {}},
      {"wheel", {}},
  };
  return table;
}

bool is_public_module(std::string_view name) {
  return !name.empty() && name.front() != '_' && name != "test" && name != "tests";
}

}  // namespace sock::pkgcache
