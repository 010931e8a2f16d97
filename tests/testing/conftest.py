import sys
from pathlib import Path

# pytest's importlib mode puts no folder of tests on the path; this one has helper modules
sys.path.insert(0, str(Path(__file__).parent))
