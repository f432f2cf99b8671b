using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Data;

/// <summary>A row of a data file is bad: names file, row and every reason. Other rows can still be read.</summary>
public sealed class BadRowException(IReadOnlyList<string> problems) : InputException(problems);
