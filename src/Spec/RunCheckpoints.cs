using System.Globalization;
using System.Text.RegularExpressions;

namespace Phi3VCluster.Spec;

/// <summary>
/// How a run's checkpoints are named on disk: <c>{run}/checkpoints/step-NNNNNN-gG/</c>, complete once they have a manifest. A newer
/// generation's are newer, whatever their step: it may have gone back behind an older one's.
/// </summary>
public static partial class RunCheckpoints
{
    public const string Manifest = "manifest.json";

    /// <summary>The folder that holds a run's checkpoints.</summary>
    public static string RootOf(string runFolder) => Path.Combine(runFolder, "checkpoints");

    public static string NameOf(long step, long generation) => string.Create(CultureInfo.InvariantCulture, $"step-{step:D6}-g{generation}");

    /// <summary>The newest first, complete or not.</summary>
    public static IReadOnlyList<CheckpointEntry> Find(string runFolder)
    {
        var root = RootOf(runFolder);
        if (!Directory.Exists(root)) return [];
        return
        [
            .. Directory.EnumerateDirectories(root).Select(folder => (Folder: folder, Name: StepName().Match(Path.GetFileName(folder))))
                .Where(one => one.Name.Success)
                .Select(one => new CheckpointEntry(
                    Number(one.Name.Groups[1]), Number(one.Name.Groups[2]), one.Folder, File.Exists(Path.Combine(one.Folder, Manifest))))
                .OrderByDescending(one => one.Generation).ThenByDescending(one => one.Step),
        ];

        static long Number(Group group) => long.Parse(group.Value, CultureInfo.InvariantCulture);
    }

    /// <summary>Of all that a run has, complete or not.</summary>
    public static long BytesIn(string runFolder) =>
        Find(runFolder).Sum(one => new DirectoryInfo(one.Folder).EnumerateFiles().Sum(file => file.Length));

    /// <summary>Keeps a complete checkpoint from being removed, by any process, until the result is disposed.</summary>
    /// <exception cref="InputException">It is being removed, or was.</exception>
    public static IDisposable Hold(string folder)
    {
        try
        {
            return new FileStream(Path.Combine(folder, Manifest), FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (IOException)
        {
            throw new InputException($"{folder}: is not there any more, a newer checkpoint has replaced it; take that one.");
        }
    }

    /// <summary>Removes a complete checkpoint, unless somebody holds it: then the next that is removed finds it again.</summary>
    public static void Remove(string folder)
    {
        var manifest = Path.Combine(folder, Manifest);
        try
        {
            using (new FileStream(manifest, FileMode.Open, FileAccess.ReadWrite, FileShare.None, bufferSize: 0)) File.Delete(manifest);
        }
        catch (IOException) when (File.Exists(manifest))
        {
            return;
        }
        Directory.Delete(folder, recursive: true);
    }

    [GeneratedRegex(@"^step-(\d{1,18})-g(\d{1,18})$")]
    private static partial Regex StepName();
}

/// <param name="Step">Steps that are committed in it.</param>
/// <param name="IsComplete">Otherwise it is being written, or never was to the end.</param>
public sealed record CheckpointEntry(long Step, long Generation, string Folder, bool IsComplete);
