using System.ComponentModel;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Silo.Http;

/// <summary>
/// Questions and images of held-out samples, out of the data files that the run's spec names. A caller chooses by number: no path comes
/// from outside. An image with a file of its own is given out only below data.imageRoot, or the data file's folder, and only if
/// it is an image.
/// </summary>
internal static class SampleFiles
{
    private const long MostBytes = 32 << 20;
    private const int MostSkippedRows = 10_000; // 1 % of the rows may be left out, and so many are looked at

    // A row of parquet has its whole row group decoded, which takes memory: one at a time.
    private static readonly SemaphoreSlim OneAtATime = new(1);

    public static Task<object> QuestionAsync(RunOutput run, int index, CancellationToken gone) => WithSampleAsync(run, index,
        (_, _, sample) => new SampleReply(sample.Id, Asked(sample).User, sample.Turns.Sum(turn => turn.Images.Count)), gone);

    public static Task<object> ImageAsync(RunOutput run, int index, int image, CancellationToken gone) => WithSampleAsync(run, index,
        (spec, place, sample) =>
        {
            if (sample.Turns.SelectMany(turn => turn.Images).ElementAtOrDefault(image) is not { } source)
                throw ApiException.NotFound($"image: sample {index} has no image {image}.");
            if (source.File is { } file) RequireBelow(spec.Data.ImageRoot ?? Path.GetDirectoryName(place.File)!, file);
            var bytes = source.Read();
            return new Image(bytes, ContentTypeOf(bytes) ?? throw new ApiException(StatusCodes.Status415UnsupportedMediaType,
                "image: browsers do not show such a file; PNG, JPEG, GIF and WebP they do."));
        }, gone);

    /// <summary>Refuses what lies elsewhere, links followed: data files may come from strangers.</summary>
    /// <exception cref="ApiException">It does.</exception>
    internal static void RequireBelow(string root, string file)
    {
        var (top, target) = (RealPath(root), RealPath(file));
        if (!target.StartsWith(Path.TrimEndingDirectorySeparator(top) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new ApiException(StatusCodes.Status403Forbidden,
                "image: it lies outside data.imageRoot (without one, the data file's folder), and is not given out.");
        if (new FileInfo(target).Length > MostBytes)
            throw new ApiException(StatusCodes.Status403Forbidden, $"image: is larger than {MostBytes >> 20} MiB, and is not given out.");
    }

    /// <summary>What a browser shows, by its first bytes; null for all else.</summary>
    internal static string? ContentTypeOf(ReadOnlySpan<byte> file) =>
        file.StartsWith((ReadOnlySpan<byte>)[0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A]) ? "image/png"
        : file.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xD8, 0xFF]) ? "image/jpeg"
        : file.StartsWith("GIF8"u8) ? "image/gif"
        : file.Length > 12 && file.StartsWith("RIFF"u8) && file[8..].StartsWith("WEBP"u8) ? "image/webp" : null;

    private static async Task<object> WithSampleAsync(
        RunOutput run, int index, Func<RunSpec, RowPlace, Sample, object> use, CancellationToken gone)
    {
        if (run.Problem is { } problem) throw ApiException.NotFound(problem);
        var id = Predictions.Read(run).IdOf(index)
            ?? throw ApiException.NotFound($"index: no evaluation of {run.Run} has a sample {index}.");
        await OneAtATime.WaitAsync(gone);
        try
        {
            return await Task.Run(() => Find(run, index, id, use, gone), gone);
        }
        finally
        {
            OneAtATime.Release();
        }
    }

    private static object Find(
        RunOutput run, int index, string id, Func<RunSpec, RowPlace, Sample, object> use, CancellationToken gone)
    {
        var spec = RunSpecYaml.ReadFile(run.At("run.yaml"), []).Spec;
        using var rows = DataSplit.PeekEvaluation(spec.Data, spec.Seed);
        for (var row = index; row < rows.Count && row <= index + MostSkippedRows; row++) // skipped rows are not counted in the index
        {
            gone.ThrowIfCancellationRequested();
            if (Read(rows, row) is { } sample && sample.Id == id) return use(spec, rows.Place(row), sample);
        }
        throw ApiException.NotFound($"index: the data has no sample {id} any more.");
    }

    /// <summary>The turn that evaluation asks.</summary>
    private static Turn Asked(Sample sample) => sample.Kind == SampleKind.Conversation ? sample.Turns[^1] : sample.Turns[0];

    private static Sample? Read(IDatasetReader rows, int row)
    {
        try
        {
            return rows.Read(row);
        }
        catch (BadRowException)
        {
            return null;
        }
    }

    /// <summary>The path without links, of folders on the way too.</summary>
    private static string RealPath(string path)
    {
        var (full, real) = (Path.GetFullPath(path), "/");
        foreach (var part in full.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            real = Path.Combine(real, part);
            FileSystemInfo entry = Directory.Exists(real) ? new DirectoryInfo(real) : new FileInfo(real);
            if (entry.ResolveLinkTarget(returnFinalTarget: true) is { } target) real = RealPath(target.FullName);
        }
        return real;
    }
}

/// <summary>What a held-out sample asks.</summary>
internal sealed record SampleReply(
    string Id,
    [property: Description("The question that is scored.")] string Question,
    [property: Description("How many images it has.")] int Images);
