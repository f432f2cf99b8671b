namespace Phi3VCluster.Spec.Reading;

/// <summary><c>--set path=value</c>: puts one value into the tree before it is bound, so that it is checked like a written one.</summary>
internal static class SpecOverrides
{
    public static SpecNode Apply(SpecNode root, IEnumerable<string> sets, List<string> problems)
    {
        foreach (var set in sets)
        {
            var equals = set.IndexOf('=', StringComparison.Ordinal);
            if (equals < 1)
            {
                problems.Add($"--set: must be path=value, got {set}; write for example --set optimizer.learningRate=1e-4.");
                continue;
            }
            try
            {
                root = Put(root, set[..equals].Trim().Split('.'), 0, Value(set[(equals + 1)..].Trim()));
            }
            catch (InputException error)
            {
                problems.AddRange(error.Problems);
            }
        }
        return root;
    }

    private static SpecNode Put(SpecNode? into, string[] path, int depth, SpecNode value)
    {
        if (depth == path.Length) return value;
        var mapping = into switch
        {
            SpecMapping known => known,
            null => new SpecMapping([], 0),
            SpecScalar { IsNull: true } => new SpecMapping([], 0),
            _ => throw new InputException($"{string.Join('.', path)}: {string.Join('.', path[..depth])} has no keys; " +
                $"write --set {string.Join('.', path[..depth])}=…"),
        };
        return mapping.With(path[depth], Put(mapping.Find(path[depth]), path, depth + 1, value));
    }

    // Only lists, mappings and quoted text are read as YAML: a path such as *.jsonl would be an alias there.
    private static SpecNode Value(string text) =>
        text.StartsWith('[') || text.StartsWith('{') || text.StartsWith('"') || text.StartsWith('\'')
            ? SpecParser.Parse(text, "--set")
            : new SpecScalar(text, Quoted: false, Line: 0);
}
