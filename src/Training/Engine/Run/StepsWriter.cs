using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// The open end of <c>steps.jsonl</c>. A line that the disk does not take waits for the next one, and half a line is taken back: the record
/// has no gap, and training does not end for it.
/// </summary>
internal sealed class StepsWriter : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly List<byte> _waiting = [];
    private long _whole; // bytes of the file that are whole lines

    public StepsWriter(string path)
    {
        _file = File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        _whole = RandomAccess.GetLength(_file);
    }

    /// <returns>Why it could not be written; null if it was.</returns>
    public string? Append(string line)
    {
        _waiting.AddRange(Encoding.UTF8.GetBytes(line + "\n"));
        try
        {
            if (RandomAccess.GetLength(_file) > _whole) RandomAccess.SetLength(_file, _whole);
            RandomAccess.Write(_file, [.. _waiting], _whole);
            _whole += _waiting.Count;
            _waiting.Clear();
            return null;
        }
        catch (IOException full)
        {
            return full.Message;
        }
    }

    public void Dispose() => _file.Dispose();
}
