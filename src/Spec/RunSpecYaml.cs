using System.Collections;
using System.Globalization;
using Phi3VCluster.Spec.Reading;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Phi3VCluster.Spec;

/// <param name="Spec">What could be read; the default stands where a value is wrong.</param>
/// <param name="Problems">Everything that is wrong, empty for a spec that can be run.</param>
public sealed record RunSpecReading(RunSpec Spec, IReadOnlyList<string> Problems);

/// <summary>The run spec as the user writes it, in YAML (JSON is YAML too).</summary>
public static class RunSpecYaml
{
    /// <summary>The paths of all values, e.g. <c>optimizer.learningRate</c>.</summary>
    public static IReadOnlyList<string> Keys { get; } = [.. SpecKeys.Values(typeof(RunSpec))];

    /// <summary>Reads a file, puts the <c>--set path=value</c> overrides in and checks every value.</summary>
    /// <exception cref="InputException">All that is wrong with it.</exception>
    public static RunSpec Load(string path, IEnumerable<string> sets) => Whole(ReadFile(path, sets));

    /// <summary>As <see cref="Load"/>, from text.</summary>
    /// <param name="source">What syntax errors call the text.</param>
    public static RunSpec Parse(string text, IEnumerable<string> sets, string source = "spec") => Whole(Read(text, sets, source));

    /// <summary>As <see cref="Load"/>, but hands problems back, so that the caller can add its own before showing them.</summary>
    /// <exception cref="InputException">No such file, or it is not YAML at all.</exception>
    public static RunSpecReading ReadFile(string path, IEnumerable<string> sets)
    {
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new InputException($"{path}: the spec cannot be read, got \"{error.Message}\"; give the path of a YAML file.");
        }
        return Read(text, sets, path);
    }

    public static RunSpecReading Read(string text, IEnumerable<string> sets, string source = "spec")
    {
        var problems = new List<string>();
        var root = SpecOverrides.Apply(SpecParser.Parse(text, source), sets, problems);
        var spec = RunSpecPaths.ExpandHome(new SpecBinder(problems).Bind<RunSpec>(root));
        if (root is not SpecMapping) return new(spec, problems); // what it lacks is no news
        // A value that could not be read has its default here: no second complaint about the same path.
        var unread = problems.Select(Path).ToArray();
        problems.AddRange(RunSpecValidation.Problems(spec).Where(p => !unread.Any(u => Path(p) == u || Path(p).StartsWith(u + '.'))));
        return new(spec, problems);
    }

    /// <summary>The whole spec, every value written out: what is kept beside a run's results.</summary>
    public static string ToText(RunSpec spec)
    {
        using var text = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        var yaml = new Emitter(text);
        yaml.Emit(new StreamStart());
        yaml.Emit(new DocumentStart(null, null, isImplicit: true));
        Write(yaml, spec);
        yaml.Emit(new DocumentEnd(isImplicit: true));
        yaml.Emit(new StreamEnd());
        return text.ToString();
    }

    private static RunSpec Whole(RunSpecReading reading) =>
        reading.Problems.Count == 0 ? reading.Spec : throw new InputException(reading.Problems);

    private static string Path(string problem) => problem[..problem.IndexOf(": ", StringComparison.Ordinal)];

    private static void Write(Emitter yaml, object? value)
    {
        switch (value)
        {
            case null: Plain("null"); break;
            case bool flag: Plain(flag ? "true" : "false"); break;
            case int or long: Plain(Convert.ToString(value, CultureInfo.InvariantCulture)!); break;
            case double number: Plain(number.ToString("R", CultureInfo.InvariantCulture)); break;
            case string text: yaml.Emit(new Scalar(null, null, text, ScalarStyle.DoubleQuoted, true, true)); break;
            case IEnumerable list:
                yaml.Emit(new SequenceStart(null, null, isImplicit: true, SequenceStyle.Flow));
                foreach (var item in list) Write(yaml, item);
                yaml.Emit(new SequenceEnd());
                break;
            default:
                yaml.Emit(new MappingStart(null, null, isImplicit: true, MappingStyle.Block));
                foreach (var (key, property) in SpecKeys.Of(value.GetType()))
                {
                    Plain(key);
                    Write(yaml, property.GetValue(value));
                }
                yaml.Emit(new MappingEnd());
                break;
        }

        void Plain(string text) => yaml.Emit(new Scalar(null, null, text, ScalarStyle.Plain, true, false));
    }
}
