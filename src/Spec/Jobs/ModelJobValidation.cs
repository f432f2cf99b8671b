using System.Globalization;
using Phi3VCluster.Spec.Recipes;

namespace Phi3VCluster.Spec.Jobs;

/// <summary>
/// What is wrong with a job, in the words of its command line.
/// </summary>
public static class ModelJobValidation
{
    /// <summary>Looks at the values alone.</summary>
    public static IReadOnlyList<string> Problems(ModelJob job) => [.. Common(job), .. job switch
    {
        GenerateJob generate => Generate(generate),
        EvaluateJob evaluate => Evaluate(evaluate),
        MergeJob merge => Merge(merge),
        InspectJob inspect => Inspect(inspect),
        ExportJob export => Export(export),
        MeasureJob measure => Measure(measure),
        BenchJob bench => Bench(bench),
        _ => [],
    }];

    /// <summary>Looks for the files, where they are to be read; values that are empty are left to <see cref="Problems"/>.</summary>
    public static IReadOnlyList<string> FileProblems(ModelJob job)
    {
        var problems = new List<string>();
        if (!Blank(job.Model)) Add("--model", GivenFolder.ModelProblem(job.Model));
        if (job.Adapter is { } adapter && !Blank(adapter)) Add("--adapter", GivenFolder.AdapterProblem(adapter));
        foreach (var image in (job as GenerateJob)?.Images ?? []) Add("--image", GivenFolder.ImageProblem(image));
        if (job is EvaluateJob evaluate && !Blank(evaluate.Data))
            Add(evaluate.Section is null ? "--data" : "--spec: data", GivenFolder.SamplesProblem(evaluate.Data));
        if (job is InspectJob inspect && !Blank(inspect.Data)) Add("KIND:PATH", GivenFolder.SamplesProblem(inspect.Data));
        if (((job as EvaluateJob)?.ImageRoot ?? (job as InspectJob)?.ImageRoot) is { } root && !Blank(root) && !Directory.Exists(root))
            problems.Add($"--image-root: no such folder, got {root}; give the folder that image paths start from.");
        if (((job as MergeJob)?.To ?? (job as ExportJob)?.To) is { } to && !Blank(to) && TargetProblem(to, job.Model) is { } problem)
            problems.Add($"--to: {problem}, got {to}; give a new folder.");
        return problems;

        void Add(string option, string? what)
        {
            if (what is not null) problems.Add($"{option}: {what}");
        }
    }

    private static string? TargetProblem(string to, string model)
    {
        if (File.Exists(to)) return "is a file";
        if (!Directory.Exists(to)) return null;
        if (!Blank(model) && SamePath(to, model)) return "is the model's own folder";
        return Directory.EnumerateFileSystemEntries(to).Any() ? "the folder is not empty" : null;
    }

    private static bool SamePath(string one, string other) =>
        Path.TrimEndingDirectorySeparator(Path.GetFullPath(one)) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(other));

    private static IEnumerable<string> Common(ModelJob job)
    {
        if (job is not (InspectJob or ExportJob or MeasureJob or BenchJob) && Blank(job.Model))
            yield return "--model: is empty, got nothing; give a checkpoint folder.";
        if (job.Adapter is { } adapter && Blank(adapter))
            yield return "--adapter: is empty, got nothing; give a PEFT adapter folder, or leave it out.";
        if (job is not AskJob ask) yield break;
        foreach (var problem in Crops(ask.NumCrops)) yield return problem;
        if (!AskJob.Precisions.Contains(ask.Precision))
            yield return $"--precision: unknown, got {ask.Precision}; {Nearest.Advice(ask.Precision, AskJob.Precisions)}";
        if (ask.MaxNewTokens < 1) yield return $"--max-new-tokens: must be at least 1, got {ask.MaxNewTokens}; raise it.";
    }

    private static IEnumerable<string> Crops(int? count)
    {
        if (count < 1) yield return $"--num-crops: must be at least 1, got {count}; raise it.";
        if (count > RunSpecValidation.MostCrops)
            yield return $"--num-crops: must be at most {RunSpecValidation.MostCrops}, got {count}; common values are 4 and 16.";
    }

    private static IEnumerable<string> Generate(GenerateJob job)
    {
        if (Blank(job.Prompt)) yield return $"--prompt: is empty, got '{job.Prompt}'; write what to ask.";
    }

    private static IEnumerable<string> Evaluate(EvaluateJob job)
    {
        if (Blank(job.DataKind) || Blank(job.Data))
            yield return $"--data: must be KIND:PATH, got {job.DataKind}:{job.Data}; write for example conversations:data/test.jsonl.";
        else foreach (var problem in Kind("--data", job.DataKind)) yield return problem;
        if (job.Metrics.Count == 0) yield return "--metrics: is empty, got nothing; write for example loss,anls.";
        string[] metrics = [EvaluateJob.Loss, .. KnownNames.Metrics];
        foreach (var name in job.Metrics.Except(metrics)) yield return $"--metrics: unknown, got {name}; {Nearest.Advice(name, metrics)}";
    }

    private static IEnumerable<string> Inspect(InspectJob job)
    {
        if (Blank(job.DataKind) || Blank(job.Data))
            yield return $"KIND:PATH: must be KIND:PATH, got {job.DataKind}:{job.Data}; write for example conversations:data/train.jsonl.";
        else foreach (var problem in Kind("KIND:PATH", job.DataKind)) yield return problem;
        foreach (var problem in Crops(job.NumCrops)) yield return problem;
        if (job.Pages is < 0 or > InspectJob.MostPages)
            yield return $"--pages: must be from 0 to {InspectJob.MostPages}, got {job.Pages}; 0 draws no sheet.";
    }

    private static IEnumerable<string> Kind(string option, string kind)
    {
        if (!KnownNames.Datasets.Contains(kind))
            yield return $"{option}: unknown kind, got {kind}; {Nearest.Advice(kind, KnownNames.Datasets)}";
    }

    private static IEnumerable<string> Merge(MergeJob job)
    {
        if (job.Adapter is null) yield return "--adapter: is missing, got nothing; give a PEFT adapter folder.";
        if (Blank(job.To)) yield return "--to: is empty, got nothing; give the folder to make.";
        if (!MergeJob.Dtypes.Contains(job.Dtype))
            yield return $"--dtype: unknown, got {job.Dtype}; {Nearest.Advice(job.Dtype, MergeJob.Dtypes)}";
    }

    private static IEnumerable<string> Export(ExportJob job)
    {
        if (Blank(job.Run)) yield return "RUN: is empty, got nothing; give a run's id or its folder.";
        if (Blank(job.To)) yield return "--to: is empty, got nothing; give the folder to make.";
        if (job.Step < 1) yield return $"--step: must be at least 1, got {job.Step}; see `phi3v checkpoints`.";
    }

    private static IEnumerable<string> Measure(MeasureJob job)
    {
        if (((int[])[job.Tokens, job.Width, job.Heads, job.Intermediate, job.Rank]).Any(size => size < 1) || job.Width % job.Heads != 0)
            yield return $"measure: sizes must be above 0 and the width a multiple of the heads, got {job}; use a sound config.json.";
    }

    private static IEnumerable<string> Bench(BenchJob job)
    {
        if (!(job.Seconds > 0 && job.Seconds <= BenchJob.MostSeconds))
            yield return string.Create(CultureInfo.InvariantCulture,
                $"--seconds: must be above 0 and at most {BenchJob.MostSeconds}, got {job.Seconds}; common values are 5 and 20.");
        foreach (var method in job.Methods)
            foreach (var problem in KnownNames.Unknown("--method", method, SpeedTable.Methods)) yield return problem;
    }

    private static bool Blank(string text) => string.IsNullOrWhiteSpace(text);
}
