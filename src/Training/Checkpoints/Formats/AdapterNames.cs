using System.Text.RegularExpressions;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// The names of an adapter file's tensors and ours. PEFT writes <c>base_model.model.{module}.lora_A.weight</c>; a state dict saved past it,
/// as DeepSpeed runs do, still has the adapter's own name in between, <c>lora_A.default.weight</c>, and means the same.
/// </summary>
internal sealed partial class AdapterNames
{
    private readonly SafeTensorsFile _file;
    private readonly Dictionary<string, string> _inFile = new(StringComparer.Ordinal);

    private AdapterNames(SafeTensorsFile file) => _file = file;

    /// <summary><c>{module}.lora_A.weight</c>, <c>{module}.lora_B.weight</c>, <c>{module}.lora_magnitude_vector</c>.</summary>
    public IReadOnlyCollection<string> Ours => _inFile.Keys;

    /// <param name="kind">LoRA or DoRA, for messages.</param>
    /// <param name="problems">Receives what is no part of an adapter; the copy of lm_head that PEFT adds is passed over.</param>
    public static AdapterNames Of(SafeTensorsFile file, string kind, List<string> problems)
    {
        var (names, adapters, wrong) = (new AdapterNames(file), new SortedSet<string>(StringComparer.Ordinal), new List<string>());
        foreach (var name in file.Names.Where(name => !name.EndsWith(".base_layer.weight", StringComparison.Ordinal)))
        {
            var match = Pattern().Match(name);
            if (!match.Success)
            {
                wrong.Add(Foreign(file.Path, name, kind));
                continue;
            }
            var part = match.Groups["part"].Value;
            adapters.Add(match.Groups["adapter"].Value);
            names._inFile.TryAdd($"{match.Groups["module"].Value}.{part}{(part == "lora_magnitude_vector" ? "" : ".weight")}", name);
        }
        if (wrong.Count > 0 && names._inFile.Count == 0 && wrong.Count > 1 && file.Names[0].Contains(".lora_", StringComparison.Ordinal))
            wrong = [$"{file.Path}: its {file.Names.Count} tensors do not begin with base_model.model., got {file.Names[0]}; "
                + "save the adapter with PEFT's save_pretrained."];
        if (adapters.Count > 1)
        {
            var given = string.Join(", ", adapters.Select(name => name.Length > 0 ? name : "one without a name"));
            wrong.Add($"{file.Path}: holds several adapters, got {given}; save the one that is meant.");
        }
        problems.AddRange(ProblemList.Short(wrong, file.Path));
        return names;
    }

    public bool Contains(string ours) => _inFile.ContainsKey(ours);

    public string InFile(string ours) => _inFile[ours];

    /// <summary>The linear map that one of <see cref="Ours"/> adapts.</summary>
    public static string ModuleOf(string ours) => ours[..ours.LastIndexOf(".lora_", StringComparison.Ordinal)];

    /// <summary>What is said of one of <see cref="Ours"/> that the kind of adapter does not have.</summary>
    public string Foreign(string ours, string kind) => Foreign(_file.Path, _inFile[ours], kind);

    private static string Foreign(string path, string name, string kind) =>
        $"{path}: the tensor {name} is not part of a {kind} adapter; use one without it.";

    [GeneratedRegex(@"^base_model\.model\.(?<module>.+)\.(?<part>lora_A|lora_B|lora_magnitude_vector)"
        + @"(\.(?<adapter>(?!weight$)[^.]+))?(\.weight)?$")]
    private static partial Regex Pattern();
}
