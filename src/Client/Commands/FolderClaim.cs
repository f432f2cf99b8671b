using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Commands;

/// <summary>
/// A run's folder is one command's while a silo of its own works there: two would write the same steps and checkpoints. The system lets go
/// of it when the process ends, however it does.
/// </summary>
internal sealed class FolderClaim : IDisposable
{
    private const string Name = ".in-use";

    private readonly FileStream _held;

    private FolderClaim(FileStream held) => _held = held;

    /// <exception cref="InputException">Another command works there, or the folder cannot be made.</exception>
    public static FolderClaim Take(string folder)
    {
        var file = Path.Combine(folder, Name);
        try
        {
            Directory.CreateDirectory(folder);
            return new(new FileStream(
                file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose));
        }
        catch (UnauthorizedAccessException)
        {
            throw new InputException($"output: may not be written, got {folder}; choose another folder.");
        }
        catch (IOException error)
        {
            throw new InputException(File.Exists(file)
                ? $"run: another phi3v works in {folder}; wait for its end, or interrupt it."
                : $"output: cannot be written, got {folder} ({error.Message}); choose another folder.");
        }
    }

    /// <exception cref="InputException">Another command works there.</exception>
    public static void RequireFree(string folder)
    {
        if (File.Exists(Path.Combine(folder, Name))) Take(folder).Dispose();
    }

    /// <summary>Whether another command works there at this moment.</summary>
    public static bool IsTaken(string folder)
    {
        try
        {
            RequireFree(folder);
            return false;
        }
        catch (InputException)
        {
            return true;
        }
    }

    public void Dispose()
    {
        var folder = Path.GetDirectoryName(_held.Name)!;
        _held.Dispose();
        if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    }
}
