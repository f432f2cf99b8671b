# Package, version and licence of each component of a CycloneDX file in XML, as dotnet-CycloneDX writes it: one element a line.
function value(line) { gsub(/^[^>]*>|<\/.*$/, "", line); return line }
/<component type="library"/ { inside = 1; name = version = licence = "" }
inside && /<licenses>/ { licensed = 1 }
inside && licensed && /<(id|expression)>/ { licence = value($0) }
inside && licensed && /<name>/ && licence == "" { licence = value($0) }
inside && licensed && /<url>/ && licence == "" { licence = value($0) }
inside && /<\/licenses>/ { licensed = 0 }
inside && !licensed && /^      <name>/ { name = value($0) }
inside && !licensed && /^      <version>/ { version = value($0) }
/<\/component>/ { if (inside) print name "\t" version "\t" (licence == "" ? "not stated" : licence); inside = 0 }
